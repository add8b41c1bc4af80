//! Keys and states to store: named ones, and any at all.

use proptest::{collection::btree_set, option, prelude::*, sample::select};
use readstates::model::{
    ChannelId, Key, Kind, LEDGER_MAX, PartialAck, Parts, ReadState, UserId, Version,
};

pub fn user(id: u64) -> UserId {
    UserId::new(id).expect("not 0")
}

pub fn key(user_id: u64, kind: Kind, channel: u64) -> Key {
    Key { user: user(user_id), kind, channel: ChannelId::new(channel).expect("not 0") }
}

pub fn channel(user_id: u64, channel: u64) -> Key {
    key(user_id, Kind::Channel, channel)
}

pub fn version(micros: u64) -> Version {
    Version::from_micros(micros)
}

/// A state with this version and watermark and nothing else.
pub fn acked(micros: u64, last_acked_id: u64) -> ReadState {
    state(Parts { version: version(micros), last_acked_id, ..Parts::default() })
}

pub fn tombstone(micros: u64) -> ReadState {
    ReadState::tombstone(version(micros))
}

pub fn state(parts: Parts) -> ReadState {
    ReadState::from_parts(parts).expect("parts of a state")
}

prop_compose! {
    pub fn any_key()(
        user_id in 1..=u64::MAX,
        kind in select(&Kind::ALL[..]),
        channel in 1..=u64::MAX,
    ) -> Key {
        key(user_id, kind, channel)
    }
}

/// Every kind of state that can be: mostly small numbers, and the ends of their ranges.
pub fn any_state() -> impl Strategy<Value = ReadState> {
    (plain_parts(), fold_parts()).prop_map(|(plain, fold)| state(join(plain, fold)))
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 2 => 1..200u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 2 => 1..1_000u64, 2 => 1 << 59..1u64 << 60, 1 => Just(u64::MAX)]
}

prop_compose! {
    fn plain_parts()(
        micros in prop_oneof![1..1_000u64, Just(u64::MAX), 1 << 50..1u64 << 51],
        deleted: bool,
        marked_unread: bool,
        inexact: bool,
        last_acked_id in position(),
        flags in count(),
        last_viewed_day in count(),
        last_pin_ack_ms in position(),
        unpositioned in count(),
    ) -> Parts {
        if deleted {
            return tombstone(micros).to_parts();
        }
        Parts {
            version: version(micros),
            marked_unread,
            inexact,
            last_acked_id,
            flags,
            last_viewed_day,
            last_pin_ack_ms,
            unpositioned,
            ..Parts::default()
        }
    }
}

prop_compose! {
    fn partial_ack()(
        last_acked_id in position(),
        mention_count in count(),
        left in count(),
    ) -> PartialAck {
        PartialAck { last_acked_id, mention_count, left }
    }
}

prop_compose! {
    /// Where its ids are too low for the watermark they are left out when joined.
    fn fold_parts()(
        ids in option::of(btree_set(1..=u64::MAX, 0..=LEDGER_MAX)),
        counts in prop::collection::vec(any::<bool>(), LEDGER_MAX),
        folded in count(),
        fold_top in position(),
        partial_ack in option::of(partial_ack()),
    ) -> Parts {
        let ids: Vec<(u64, bool)> = ids.unwrap_or_default().into_iter().zip(counts).collect();
        let those = |wanted| {
            ids.iter().filter(move |(_, counts)| *counts == wanted).map(|(id, _)| *id).collect()
        };
        Parts {
            counted: those(true),
            zeroed: those(false),
            folded,
            fold_top,
            partial_ack,
            ..Parts::default()
        }
    }
}

fn join(plain: Parts, fold: Parts) -> Parts {
    if plain.deleted {
        return plain;
    }
    let fold_top = if fold.fold_top > plain.last_acked_id { fold.fold_top } else { 0 };
    let bound = plain.last_acked_id.max(fold_top);
    let above = |ids: Vec<u64>| ids.into_iter().filter(|id| *id > bound).collect();
    let (counted, zeroed) = (above(fold.counted), above(fold.zeroed));
    Parts { counted, zeroed, folded: fold.folded, fold_top, partial_ack: fold.partial_ack, ..plain }
}
