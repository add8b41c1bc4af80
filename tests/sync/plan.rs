//! What a seed draws before its run begins: how small everything is, and what happens how often.

use std::num::NonZeroUsize;

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    cache::Sizing,
    flush::FlushSettings,
    journal::{JournalOptions, SEGMENT_BYTES_MIN},
};

/// A day.
const DAY_MS: u64 = 24 * 3_600_000;

/// What a step of the scheduler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Whatever runs in the process gets some turns.
    Turn,
    /// The journal's writer writes a group.
    Write,
    /// Somebody calls.
    Call,
    /// Somebody who waits for an answer goes away.
    Cancel,
    /// A device begins to watch.
    Connect,
    /// The stream of a device breaks.
    Disconnect,
    /// A device lets its stream give out some events.
    Read,
    /// A device takes in what it received.
    Take,
    /// A device begins a list, or asks for its next page.
    List,
    /// The flusher writes everything.
    Flush,
    /// Time goes on.
    Tick,
    /// The clock is set back or forth.
    SetClock,
    /// The process is killed, or ends by its own will where a kill would lose something.
    Restart,
    /// Everything comes to rest, and each device is compared with the server.
    Settle,
}

/// How likely an act is where the seed has it at all, and how many seeds have it, in percent.
const ACTS: [(Act, u32, u32); 14] = [
    (Act::Turn, 200, 100),
    (Act::Write, 60, 100),
    (Act::Call, 240, 100),
    (Act::Cancel, 6, 20),
    (Act::Connect, 40, 100),
    (Act::Disconnect, 12, 60),
    (Act::Read, 120, 100),
    (Act::Take, 120, 100),
    (Act::List, 50, 80),
    (Act::Flush, 20, 100),
    (Act::Tick, 20, 100),
    (Act::SetClock, 4, 30),
    (Act::Restart, 4, 50),
    (Act::Settle, 2, 100),
];

/// The bounds of one run.
pub struct Plan {
    pub seed: u64,
    pub steps: u32,
    pub users: u64,
    pub channels: u64,
    pub devices: usize,
    pub calls_max: usize,
    pub sizing: Sizing,
    pub flush: FlushSettings,
    /// `None` for durability memory.
    pub journal: Option<JournalOptions>,
    /// The store forgets at a power cut what it had not persisted; tombstones do not expire in it.
    pub lossy: bool,
    pub waiting_changes: usize,
    pub waiting_changes_per_watch: usize,
    weights: Vec<(Act, u32)>,
}

impl Plan {
    pub fn draw(seed: u64, random: &mut StdRng) -> Self {
        let some = |number| NonZeroUsize::new(number).expect("not 0");
        let entries = random.random_range(4..40);
        let weight = |random: &mut StdRng, (act, weight, of_seeds): (Act, u32, u32)| {
            let weight = (weight * random.random_range(1..=16)).div_ceil(8);
            (act, if random.random_ratio(of_seeds, 100) { weight } else { 0 })
        };
        let journal = JournalOptions {
            segment_bytes: SEGMENT_BYTES_MIN,
            pending_bytes_max: 64 << 10,
            size_bytes: SEGMENT_BYTES_MIN * 2,
            reserve_bytes: SEGMENT_BYTES_MIN,
        };
        let journal = random.random_bool(0.6).then_some(journal);
        let many_channels = random.random_ratio(1, 20);
        let narrow = random.random_bool(0.4);
        Self {
            seed,
            steps: random.random_range(60..300),
            users: random.random_range(1..=3),
            channels: if many_channels { 150 } else { random.random_range(1..=6) },
            devices: random.random_range(1..=3),
            calls_max: random.random_range(1..=6),
            sizing: Sizing::for_entries(some(entries), Some(some(2)), Some(some(entries))),
            flush: FlushSettings {
                flush_after_ms: random.random_range(0..400),
                batch_rows: random.random_range(1..16),
                tombstone_ttl_ms: random.random_range(1..40) * DAY_MS,
                persist_after_ms: random.random_range(0..400),
            },
            lossy: journal.is_some() && random.random_bool(0.5),
            journal,
            waiting_changes: if narrow { random.random_range(4..40) } else { 10_000 },
            waiting_changes_per_watch: if narrow { random.random_range(1..12) } else { 5_000 },
            weights: ACTS.iter().map(|act| weight(random, *act)).collect(),
        }
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
        Act::Turn
    }
}
