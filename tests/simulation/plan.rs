//! What a seed draws before its run begins: how small everything is, and what goes wrong how often.

use std::num::NonZeroUsize;

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    cache::Sizing,
    flush::FlushSettings,
    journal::{JournalOptions, SEGMENT_BYTES_MIN},
};

/// What a step of the scheduler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// One of the tasks that were woken is polled.
    Poll,
    /// The journal's writer writes a group.
    Write,
    /// Somebody calls.
    Call,
    /// Somebody who waits goes away.
    Cancel,
    /// The flusher begins something, unless it is at something.
    Flush,
    /// Time goes on.
    Tick,
    /// The clock is set back or forth.
    SetClock,
    /// Calls of the store fail.
    FailStore,
    /// A call of the store hangs until the gate is opened.
    HoldStore,
    /// Gates open, and what failed works again.
    HealStore,
    /// A call of the disk fails, once or until it is mended.
    FailDisk,
    /// The disk has no room, or has some again.
    FillDisk,
    /// From some call on nothing reaches the disk any more; a power cut follows.
    StopDisk,
    /// Everything is checked.
    Check,
    /// The process is killed.
    Kill,
    /// The power goes.
    CutPower,
    /// A clean end.
    Stop,
}

/// How likely an act is where the seed has it at all, and how many seeds have it, in percent.
const ACTS: [(Act, u32, u32); 17] = [
    (Act::Poll, 480, 100),
    (Act::Write, 40, 100),
    (Act::Call, 260, 100),
    (Act::Cancel, 10, 60),
    (Act::Flush, 60, 100),
    (Act::Tick, 30, 100),
    (Act::SetClock, 4, 50),
    (Act::FailStore, 10, 50),
    (Act::HoldStore, 5, 50),
    (Act::HealStore, 12, 100),
    (Act::FailDisk, 2, 40),
    (Act::FillDisk, 4, 40),
    (Act::StopDisk, 5, 60),
    (Act::Check, 8, 100),
    (Act::Kill, 2, 60),
    (Act::CutPower, 2, 70),
    (Act::Stop, 1, 50),
];

/// The bounds of one run.
pub struct Plan {
    pub seed: u64,
    pub steps: u32,
    pub users: u64,
    pub channels: u64,
    pub callers_max: usize,
    /// Of 32 updates, those that are mentions; the rest takes most of them away again.
    pub mentions: u32,
    pub sizing: Sizing,
    pub flush: FlushSettings,
    pub journal: JournalOptions,
    /// Restarts in which the store comes back as an older copy of itself, in percent.
    pub old_copies: u32,
    weights: Vec<(Act, u32)>,
    calm: bool,
}

impl Plan {
    pub fn draw(seed: u64, random: &mut StdRng) -> Self {
        let some = NonZeroUsize::new;
        let entries = random.random_range(4..20);
        let (shards, dirty) = (random.random_range(1..3), random.random_range(2..=entries));
        let segment_bytes = SEGMENT_BYTES_MIN * random.random_range(1..=4);
        let least = random.random_range(0..=4);
        let weight = |random: &mut StdRng, (act, weight, of_seeds): (Act, u32, u32)| {
            let weight = (weight * random.random_range(1..=16)).div_ceil(8);
            (act, if random.random_ratio(of_seeds, 100) { weight } else { 0 })
        };
        Self {
            seed,
            steps: random.random_range(500..4_000),
            users: random.random_range(1..=4),
            channels: random.random_range(2..=6),
            callers_max: random.random_range(1..=24),
            mentions: random.random_range(16..=31),
            sizing: Sizing::for_entries(
                some(entries).expect("4 or more"),
                some(shards),
                some(dirty),
            ),
            flush: FlushSettings {
                flush_after_ms: random.random_range(0..200),
                batch_rows: random.random_range(1..8),
                tombstone_ttl_ms: u64::from(u32::MAX),
                persist_after_ms: random.random_range(0..400),
            },
            journal: JournalOptions {
                segment_bytes,
                pending_bytes_max: random.random_range(0..64 << 10),
                size_bytes: segment_bytes * least,
                reserve_bytes: segment_bytes,
            },
            old_copies: if random.random_bool(0.3) { 15 } else { 0 },
            weights: ACTS.iter().map(|act| weight(random, *act)).collect(),
            calm: false,
        }
    }

    /// Nothing more goes wrong.
    pub fn calm(&mut self) {
        self.calm = true;
    }

    /// Whether starts are disturbed.
    pub fn is_troubled(&self) -> bool {
        !self.calm
    }

    /// Draws the next act.
    pub fn act(&self, random: &mut StdRng) -> Act {
        let total: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = random.random_range(0..total);
        for (act, weight) in &self.weights {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return *act,
            }
        }
        Act::Poll
    }
}
