//! A journal on a simulated disk, and short words for what threads do with it.

use std::sync::Arc;

use readstates::{
    journal::{
        Image, Journal, JournalError, JournalOptions, Record, Recovery, SimulatedDisk, Writer,
    },
    model::{Sequence, UserId, Version},
};
use shuttle::future::block_on;

/// The smallest one.
pub const SMALL: JournalOptions = JournalOptions {
    segment_bytes: 0,
    pending_bytes_max: usize::MAX,
    size_bytes: 0,
    reserve_bytes: 0,
};

pub fn begin(disk: &SimulatedDisk, options: JournalOptions) -> (Journal, Writer) {
    let recovery = Recovery::open(Arc::new(disk.clone()), options).expect("a journal");
    recovery.begin().expect("it begins")
}

fn user() -> UserId {
    UserId::new(1).expect("not 0")
}

/// Appends a record that tells of `number`, under a reservation.
pub fn append(journal: &Journal, number: u64) -> Result<Sequence, JournalError> {
    let _room = block_on(journal.reserve(1))?;
    Ok(journal.append_deletion(user(), Version::from_micros(number)))
}

/// Appends, and waits until it is durable.
pub fn append_durably(journal: &Journal, number: u64) -> Result<Sequence, JournalError> {
    let sequence = append(journal, number)?;
    block_on(journal.reached(sequence))?;
    assert!(journal.durable() >= sequence);
    Ok(sequence)
}

/// What a start finds on a disk with these files.
pub fn records(image: Image) -> Vec<(Sequence, Record)> {
    let disk = SimulatedDisk::restore(image);
    let recovery = Recovery::open(Arc::new(disk), SMALL).expect("a whole journal");
    let mut records = Vec::new();
    let replayed = recovery.replay::<JournalError>(&mut |sequence, record| {
        records.push((sequence, record));
        Ok(())
    });
    replayed.expect("a whole journal");
    records
}

/// Whether the record of `number` is there, under that sequence.
pub fn holds(records: &[(Sequence, Record)], sequence: Sequence, number: u64) -> bool {
    let told = Record::UserDeletion { user: user(), version: Version::from_micros(number) };
    records.contains(&(sequence, told))
}
