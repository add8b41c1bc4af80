//! Draws records at random: mostly usual states, some with a full ledger, some deletions.

use std::collections::BTreeSet;

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    journal::Record,
    model::{ChannelId, Key, Kind, LEDGER_MAX, PartialAck, Parts, ReadState, UserId, Version},
};

/// A record whose version is `micros`.
pub fn draw_record(rng: &mut StdRng, micros: u64) -> Record {
    let version = Version::from_micros(micros);
    match rng.random_range(0..20) {
        0 => Record::UserDeletion { user: draw_user(rng), version },
        1 => Record::State { key: draw_key(rng), state: ReadState::tombstone(version) },
        2 => Record::Ceiling(version),
        _ => Record::State { key: draw_key(rng), state: draw_state(rng, version) },
    }
}

fn draw_user(rng: &mut StdRng) -> UserId {
    UserId::new(rng.random_range(1..=20)).expect("not 0")
}

pub fn draw_key(rng: &mut StdRng) -> Key {
    let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
    let channel = ChannelId::new(rng.random_range(1..=1 << 60)).expect("not 0");
    Key { user: draw_user(rng), kind, channel }
}

pub fn draw_state(rng: &mut StdRng, version: Version) -> ReadState {
    let last_acked_id = rng.random_range(0..1 << 60);
    let usual = Parts {
        version,
        last_acked_id,
        flags: rng.random_range(0..12),
        last_viewed_day: 4_000,
        unpositioned: rng.random_range(0..3),
        ..Parts::default()
    };
    if rng.random_bool(0.7) {
        return state(usual);
    }
    let length = if rng.random_bool(0.2) { LEDGER_MAX } else { rng.random_range(1..9) };
    let ids: BTreeSet<u64> =
        (0..length).map(|_| rng.random_range(last_acked_id + 1..u64::MAX)).collect();
    let partial_ack = PartialAck { last_acked_id: 7, mention_count: 8, left: 9 };
    state(Parts {
        counted: ids.into_iter().collect(),
        folded: rng.random_range(0..5),
        last_pin_ack_ms: rng.random(),
        partial_ack: rng.random_bool(0.5).then_some(partial_ack),
        ..usual
    })
}

pub fn state(parts: Parts) -> ReadState {
    ReadState::from_parts(parts).expect("the parts of a state")
}
