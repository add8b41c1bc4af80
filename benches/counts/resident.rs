//! A full cache of one shard, and what is done to it.

use std::{hint::black_box, num::NonZeroUsize};

use readstates::{
    cache::{Access, Cache, Sizing},
    clock::Now,
    model::{
        ChannelId, Key, Kind, MessageId, Operation, Parts, ReadState, Update, UserId, Version,
    },
};

use crate::OPERATIONS;

pub const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 1 };

/// So many that the table does not grow, few enough that it fills in a second under valgrind.
const ENTRIES: usize = 16_000;
const CHANNELS_PER_USER: u64 = 50;
const MENTIONS: u64 = 8;

pub struct Resident {
    pub cache: Cache,
    /// In memory, in no order.
    pub keys: Vec<Key>,
    /// One for each of the keys, later than any other.
    pub acks: Vec<(Key, Access)>,
    row: ReadState,
    inserted: u64,
}

impl Resident {
    /// Full of clean states.
    pub fn new() -> Self {
        let entries = NonZeroUsize::new(ENTRIES).expect("not 0");
        let sizing = Sizing::for_entries(entries, NonZeroUsize::new(1), None);
        let parts =
            Parts { version: Version::from_micros(1), last_acked_id: 5, ..Parts::default() };
        let mut resident = Self {
            cache: Cache::new(sizing, Version::ZERO, 7),
            keys: Vec::new(),
            acks: Vec::new(),
            row: ReadState::from_parts(parts).expect("these parts are a state"),
            inserted: 0,
        };
        let full = ENTRIES as u64 * 3 / 2;
        for _ in 0..full {
            resident.insert();
        }
        // An odd step visits each of the newest states once.
        let newest = |number| full - 1 - number * 7 % (ENTRIES as u64 / 2);
        resident.keys = (0..OPERATIONS).map(|number| key(newest(number))).collect();
        resident.acks = resident.keys.iter().map(|key| (*key, ack(20))).collect();
        resident
    }

    /// The same, with the keys' states changed.
    pub fn dirty() -> Self {
        let resident = Self::new();
        for key in &resident.keys {
            let done = resident.cache.access(key, &ack(10), &NOW).expect("it is in memory");
            done.expect("a place is free");
        }
        resident
    }

    pub fn insert(&mut self) {
        let ticket = self.cache.begin_load(key(self.inserted)).expect("the key is new");
        let row = Some(self.row.clone());
        black_box(self.cache.admit(ticket, row, &[Access::Read], &NOW)).expect("none is between");
        self.inserted += 1;
    }
}

fn key(number: u64) -> Key {
    let user = UserId::new(1 + number / CHANNELS_PER_USER).expect("not 0");
    let channel = ChannelId::new(1 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) / 2);
    Key { user, kind: Kind::Channel, channel: channel.expect("not 0") }
}

fn message(id: u64) -> MessageId {
    MessageId::new(id).expect("not 0")
}

pub fn ack(id: u64) -> Access {
    let operation = Operation::Ack { message: message(id), flags: None, last_viewed_day: None };
    Access::Update(Update::from(operation))
}

/// Mentions, each eighth followed by an ack of them all.
pub fn mentions() -> Vec<Operation> {
    let mut operations = Vec::new();
    for id in 1..=OPERATIONS {
        operations.push(Operation::Mention { message: message(id), initial_acked_id: None });
        if id.is_multiple_of(MENTIONS) {
            let message = message(id);
            operations.push(Operation::Ack { message, flags: None, last_viewed_day: None });
        }
    }
    operations
}
