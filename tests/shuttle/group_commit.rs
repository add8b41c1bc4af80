//! Group commit: those who append, the writer's thread and its neighbour that prepares segments.

use std::sync::Arc;

use readstates::{
    journal::{Disk as _, DiskCall, JournalError, SegmentId, SimulatedDisk, WriterThread},
    model::Sequence,
    store::CommitNumber,
};
use shuttle::{
    future::block_on,
    rand::{Rng as _, thread_rng},
    thread,
};

use crate::{
    explore,
    journal::{SMALL, append, append_durably, begin, holds, records},
};

const EIO: i32 = 5;
const THREADS: u64 = 3;
const APPENDS: u64 = 2;

#[test]
fn what_is_acknowledged_is_on_the_disk_and_nobody_waits_for_ever() {
    explore(|| {
        let disk = SimulatedDisk::default();
        let (journal, writer) = begin(&disk, SMALL);
        let writer = WriterThread::spawn(writer).expect("threads");
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (journal, disk) = (journal.clone(), disk.clone());
                thread::spawn(move || {
                    let mut last = None;
                    for append in 0..APPENDS {
                        let number = 1 + thread * APPENDS + append;
                        let sequence = append_durably(&journal, number).expect("nothing fails");
                        assert!(Some(sequence) > last.map(|(sequence, _)| sequence));
                        last = Some((sequence, number));
                    }
                    (last, disk.image())
                })
            })
            .collect();
        for appender in appenders {
            let (last, image) = appender.join().expect("no panic");
            let (sequence, number) = last.expect("it appended");
            assert!(holds(&records(image), sequence, number), "when it was acknowledged");
        }
        writer.close(None).expect("nothing fails");
        let last = journal.last();
        // All, and the seal.
        assert_eq!(last, Sequence::new(THREADS * APPENDS + 1));
        assert_eq!((journal.durable(), records(disk.image()).len() as u64), (last, last.as_u64()));
    });
}

#[test]
fn a_failed_write_or_sync_is_told_to_everybody_and_acknowledges_nothing() {
    explore(|| {
        let disk = SimulatedDisk::default();
        let (journal, writer) = begin(&disk, SMALL);
        let call = if thread_rng().gen_bool(0.5) { DiskCall::SyncData } else { DiskCall::Write };
        let file = SegmentId(1).file_name();
        disk.faults().fail_on(call, &file, thread_rng().gen_range(1..4), EIO);
        let writer = WriterThread::spawn(writer).expect("threads");
        let watched = journal.clone();
        let watcher = thread::spawn(move || block_on(watched.failed()));
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let journal = journal.clone();
                thread::spawn(move || {
                    let numbers = (1..=APPENDS).map(|append| thread * APPENDS + append);
                    let outcomes = numbers.map(|number| (number, append_durably(&journal, number)));
                    outcomes.collect::<Vec<_>>()
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for appender in appenders {
            let of_one = appender.join().expect("no panic");
            assert!(of_one.is_sorted_by_key(|(_, outcome)| outcome.is_err()), "no way back");
            outcomes.extend(of_one);
        }
        // The fault may not have been met yet.
        while append_durably(&journal, 99).is_ok() {}
        assert!(matches!(watcher.join().expect("no panic"), JournalError::Failed(_)));
        assert!(writer.close(None).is_err());
        let kept = records(disk.image());
        for (number, outcome) in outcomes {
            match outcome {
                Ok(sequence) => assert!(holds(&kept, sequence, number)),
                Err(error) => assert!(matches!(error, JournalError::Failed(_)), "{error}"),
            }
        }
    });
}

#[test]
fn a_close_makes_durable_whatever_was_appended_before_it() {
    explore(|| {
        let disk = SimulatedDisk::default();
        let (journal, writer) = begin(&disk, SMALL);
        let writer = WriterThread::spawn(writer).expect("threads");
        let sequences: Vec<_> =
            (1..=THREADS).map(|number| append(&journal, number).expect("there is room")).collect();
        let waiters: Vec<_> = sequences
            .into_iter()
            .map(|sequence| {
                let journal = journal.clone();
                thread::spawn(move || block_on(journal.reached(sequence)))
            })
            .collect();
        writer.close(None).expect("nothing fails");
        for waiter in waiters {
            waiter.join().expect("no panic").expect("it is durable");
        }
        let late = block_on(journal.reached(journal.last().next()));
        assert!(matches!(late, Err(JournalError::Closed)));
        assert!(matches!(append(&journal, 9), Err(JournalError::Closed)));
    });
}

/// The folder's names are changed by the roll of a segment, by what frees old ones and by what
/// prepares the next one.
#[test]
fn segments_come_and_go_while_others_append() {
    const BIG: usize = 9;
    explore(|| {
        let disk = SimulatedDisk::default();
        let (journal, writer) = begin(&disk, SMALL);
        let writer = WriterThread::spawn(writer).expect("threads");
        let appenders: Vec<_> = (0..2)
            .map(|_| {
                let journal = journal.clone();
                thread::spawn(move || {
                    for _ in 0..BIG {
                        let sequence = {
                            let _room = block_on(journal.reserve(1)).expect("there is room");
                            journal.append_state(&big::key(), &big::state())
                        };
                        block_on(journal.reached(sequence)).expect("nothing fails");
                    }
                })
            })
            .collect();
        let freeing = journal.clone();
        let freer = thread::spawn(move || {
            for commit in 1..4 {
                freeing.advance(freeing.durable(), CommitNumber(commit)).expect("nothing fails");
            }
        });
        appenders.into_iter().for_each(|appender| appender.join().expect("no panic"));
        freer.join().expect("no panic");
        assert!(journal.usage().horizon <= journal.durable());
        writer.close(None).expect("nothing fails");
        let names = disk.names().expect("it lists");
        assert!(names.contains(&SegmentId(2).file_name()), "{names:?} {:?}", journal.usage());
        let (kept, last) = (records(disk.image()), journal.last());
        let first = journal.usage().horizon.next();
        let sequences: Vec<_> = kept.iter().map(|(sequence, _)| sequence.as_u64()).collect();
        let expected: Vec<_> = (first.as_u64()..=last.as_u64()).collect();
        assert_eq!(sequences, expected, "every record above the horizon");
    });
}

/// A state so big that few fit into a segment.
mod big {
    use std::sync::LazyLock;

    use readstates::model::{ChannelId, Key, MessageId, Operation, ReadState, UserId, Version};

    static STATE: LazyLock<ReadState> = LazyLock::new(|| {
        let mut state = ReadState::default();
        state.set_version(Version::from_micros(1));
        for id in 1..=128 {
            let message = MessageId::new(id << 48).expect("not 0");
            state.apply(&Operation::Mention { message, initial_acked_id: None });
        }
        state
    });

    pub fn key() -> Key {
        let user = UserId::new(1).expect("not 0");
        Key::channel(user, ChannelId::new(1).expect("not 0"))
    }

    pub fn state() -> ReadState {
        STATE.clone()
    }
}

/// Neither the writer nor its neighbour outlives the journal.
#[test]
fn dropping_everything_after_a_close_leaves_the_lock() {
    explore(|| {
        let disk = SimulatedDisk::default();
        for _ in 0..2 {
            let (journal, writer) = begin(&disk, SMALL);
            let writer = WriterThread::spawn(writer).expect("threads");
            let appending = journal.clone();
            let appender = thread::spawn(move || append_durably(&appending, 1));
            appender.join().expect("no panic").expect("nothing fails");
            writer.close(None).expect("nothing fails");
        }
        let locked = Arc::new(disk);
        assert!(readstates::journal::Recovery::open(locked, SMALL).is_ok());
    });
}
