//! States as most are.

use readstates::model::{Parts, ReadState, Version};

/// As far apart as messages of a busy channel are in time, in the usual layout of ids.
pub const APART: u64 = 1_000_000_000;

/// The state of this number, with so many mentions in its ledger.
pub fn state(number: u64, mentions: u64) -> ReadState {
    let last_acked_id = (1 << 60) + number;
    let parts = Parts {
        version: Version::from_micros((1 << 50) + number),
        last_acked_id,
        flags: 1,
        last_viewed_day: 4_000,
        counted: (1..=mentions).map(|mention| last_acked_id + mention * APART).collect(),
        ..Parts::default()
    };
    ReadState::from_parts(parts).expect("these parts are a state")
}
