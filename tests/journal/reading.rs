//! Reads a journal as a start does, and compares what it says with what was written.

use std::sync::Arc;

use readstates::{
    journal::{JournalError, JournalOptions, Record, Recovery, Replayed, SimulatedDisk},
    model::Sequence,
};

pub fn open(disk: &SimulatedDisk) -> Result<Recovery, JournalError> {
    Recovery::open(Arc::new(disk.clone()), JournalOptions::default())
}

/// Every record that a start replays.
pub fn records_of(
    recovery: &Recovery,
) -> Result<(Vec<(Sequence, Record)>, Replayed), JournalError> {
    let mut records = Vec::new();
    let replayed = recovery.replay::<JournalError>(&mut |sequence, record| {
        records.push((sequence, record));
        Ok(())
    })?;
    Ok((records, replayed))
}

pub fn read(disk: &SimulatedDisk) -> Result<Vec<(Sequence, Record)>, JournalError> {
    Ok(records_of(&open(disk)?)?.0)
}

/// How much of `written` a start replays, in order and without a change: all, a part of it from
/// its start, or nothing, as it refuses.
///
/// # Panics
/// Where it replays anything else.
pub fn prefix_read(disk: &SimulatedDisk, written: &[(Sequence, Record)]) -> Option<usize> {
    let recovery = open(disk).ok()?;
    let mut same = 0;
    let replayed = recovery.replay::<JournalError>(&mut |sequence, record| {
        assert_eq!(Some(&(sequence, record)), written.get(same), "after {same} records");
        same += 1;
        Ok(())
    });
    replayed.ok().map(|_| same)
}
