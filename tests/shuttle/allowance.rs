//! Room for records: those who wait for it in turn, and those who go away while they do.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use readstates::journal::{JournalOptions, SimulatedDisk, WriterThread};
use shuttle::{future::block_on, thread};

use crate::{
    explore,
    journal::{SMALL, append_durably, begin},
};

/// Room for one record.
const TIGHT: JournalOptions = JournalOptions { pending_bytes_max: 0, ..SMALL };

#[test]
fn where_there_is_room_for_one_all_get_their_turn() {
    explore(|| {
        let (journal, writer) = begin(&SimulatedDisk::default(), TIGHT);
        assert_eq!(journal.records_max(), 1);
        let writer = WriterThread::spawn(writer).expect("threads");
        let appenders: Vec<_> = (0..3)
            .map(|number| {
                let journal = journal.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        append_durably(&journal, number).expect("nothing fails");
                    }
                })
            })
            .collect();
        appenders.into_iter().for_each(|appender| appender.join().expect("no panic"));
        writer.close(None).expect("nothing fails");
        assert_eq!(journal.usage().pending_bytes, 0);
    });
}

#[test]
fn one_who_goes_away_while_waiting_for_room_holds_up_nobody() {
    explore(|| {
        let (journal, writer) = begin(&SimulatedDisk::default(), TIGHT);
        let writer = WriterThread::spawn(writer).expect("threads");
        let quitting = journal.clone();
        let quitter = thread::spawn(move || {
            for _ in 0..3 {
                let mut room = pin!(quitting.reserve(1));
                let polled = room.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                thread::yield_now();
                if let Poll::Ready(room) = polled {
                    drop(room.expect("nothing fails"));
                }
            }
        });
        let staying: Vec<_> = (0..2)
            .map(|number| {
                let journal = journal.clone();
                thread::spawn(move || append_durably(&journal, number).is_ok())
            })
            .collect();
        assert!(staying.into_iter().all(|staying| staying.join().expect("no panic")));
        quitter.join().expect("no panic");
        drop(block_on(journal.reserve(1)).expect("nobody holds any"));
        writer.close(None).expect("nothing fails");
    });
}
