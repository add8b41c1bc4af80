//! What the cache costs: nanoseconds for each thing it does, bytes for each state it holds.
//!
//! `cargo bench --bench cache` takes 8 million entries, or as many as `READSTATES_BENCH_ENTRIES`
//! says; `cargo bench --bench cache -- scale` compares caches of 10 thousand to 32 million entries,
//! `-- churn` only fills one and lets 60 times its capacity go through; `cargo test --benches` only
//! looks whether everything runs.
//!
//! 2026-11-23, AMD EPYC (2 virtual processors, 32 MiB L3, busy with other work: load 5 to 6),
//! Linux, release profile (fat LTO), mimalloc 3.3; 8,000,000 entries in 263 shards, random keys out
//! of 4 million; processor time of one thread, median of 5 (least to most):
//!
//! | | huge pages (default) | `MIMALLOC_ALLOW_THP=0` |
//! |---|---:|---:|
//! | hit: read | 998 ns (900-1049) | 1141 ns (1081-1324) |
//! | hit: update that changes nothing | 1045 ns (993-1061) | 1392 ns (1276-1453) |
//! | hit: update under a guard that does not match | 767 ns (710-837) | 1297 ns (1108-1443) |
//! | hit: update, the state becomes dirty | 2577 ns (2270-2653) | 3318 ns (3131-3512) |
//! | hit: update, the state is dirty | 827 ns (805-877) | 1303 ns (1112-1365) |
//! | collect and settle a dirty state | 621 ns (577-693) | 679 ns (623-744) |
//! | insert (ticket and admission), no eviction | 678 ns (627-697) | 664 ns (622-841) |
//! | insert, evicting a clean entry | 1276 ns (1096-1287) | not run |
//! | bytes an entry, full | 111.4 | 104.5 |
//! | bytes an entry after 12 / 60 x churn | 111.6 / 112.2 (1.007 x) | 104.7 / not run |
//! | bytes a dirty entry beyond that | 105.7 | 105.4 |
//!
//! - Memory is flat under churn. The goal of 110 bytes is met on small pages and missed by two on
//!   huge ones: mimalloc asks for them, and a table of 1,114,128 bytes takes 1,284,000 there. Twice
//!   the table would halve that waste and double the stall of a rehash. Speed is worth more: stay.
//! - What a dirty state cost is not given back to the system at once (144 bytes an entry after half
//!   were dirty and clean again) but is used up by the insertions that follow.
//! - The time of a hit is that of its cache misses. The first change of a state cost as much as
//!   three others, as its mark went into two B-trees; since, a mark is a slot of a slab.
//! - Take the figures as upper bounds: two runs on 4 million entries an hour before, at the same
//!   load, differed by a third. Negative: tables of 2^15 and 2^14 buckets waste 19 and 26 %.
//!
//! Sizes (`-- scale`), the same day on a quieter machine, random keys, all acked states dirty;
//! nanoseconds of processor time each and millions of acks a second, medians of 5 (least to most):
//!
//! | entries | read | ack | ack in batches of 1000 |
//! |---|---|---|---|
//! | 10000 | 185 (129-216) | 216 (144-216) | 200 (120-215) |
//! | 100000 | 478 (467-562) | 464 (392-488) | 288 (231-392) |
//! | 1000000 | 688 (659-721) | 664 (568-720) | 408 (304-480) |
//! | 8000000 | 902 (856-1013) | 840 (792-864) | 424 (408-439) |
//! | 32000000 | 1194 (1057-1220) | 1032 (976-1128) | 864 (823-920) |
//!
//! ```text
//! ack         10000  #####
//!            100000  ############
//!           1000000  #################
//!           8000000  #####################
//!          32000000  ##########################
//! in batches  10000  #####
//!            100000  #######
//!           1000000  ##########
//!           8000000  ###########
//!          32000000  ######################            (each # is 40 ns)
//! ```
//!
//! | entries | by one thread | by two | times |
//! |---|---|---|---|
//! | 10000 | 5.32 (4.76-6.68) | 4.49 (1.50-4.80) | 0.72 (0.28-0.92) |
//! | 100000 | 1.83 (1.76-2.94) | 2.99 (2.79-3.31) | 1.57 (1.13-1.66) |
//! | 1000000 | 1.49 (1.34-1.52) | 2.59 (2.37-2.85) | 1.78 (1.59-1.95) |
//! | 8000000 | 1.18 (1.11-1.28) | 2.60 (2.25-2.87) | 2.15 (2.00-2.41) |
//! | 32000000 | 0.93 (0.91-1.14) | 2.01 (1.75-2.13) | 2.05 (1.76-2.24) |
//!
//! - From one million entries on, what costs is the chain of cache misses of an update, of about
//!   200 ns each here; a second thread doubles the rate. 10 thousand entries are one shard, whose
//!   lock two threads fight for.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/race.rs"]
mod race;
#[path = "load/sample.rs"]
mod sample;
#[path = "cache/scale.rs"]
mod scale;

use std::{fs, hint::black_box, num::NonZeroUsize, sync::LazyLock, time::Instant};

use mimalloc::MiMalloc;
use readstates::{
    cache::{Access, Cache, DIRTY_BYTES, ENTRY_BYTES, Sizing},
    clock::Now,
    model::{
        ChannelId, Guard, Key, Kind, MessageId, Operation, Parts, ReadState, Update, UserId,
        Version,
    },
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Overrides how many entries the cache has.
const ENTRIES_VARIABLE: &str = "READSTATES_BENCH_ENTRIES";
const ENTRIES: usize = 8_000_000;
/// Enough to see that everything runs: for `cargo test --benches`.
const SMOKE_ENTRIES: usize = 10_000;
/// Insertions while churning, in capacities.
const CHURN: u64 = 60;
/// Moments in it at which memory is measured.
const CHURN_STEPS: u64 = 20;
const ROUNDS: u64 = 5;
const CHANNELS_PER_USER: u64 = 50;
/// Of so many keys one is not about a channel: enough to fill the share kept for those.
const OTHER_KIND_EVERY: u64 = 16;
const NOW: Now = Now { wall_us: 1_000, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 1 };

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    let smoke = !asked("--bench");
    if smoke || asked("scale") {
        scale::table(smoke);
    }
    if !asked("scale") {
        run(asked("churn"));
    }
}

fn run(only_churn: bool) {
    let bare_kib = resident_kib();
    let mut bench = Bench::new(entries());
    println!("{:?}", bench.cache.sizing());
    bench.fill();
    let full_kib = resident_kib();
    bench.report_bytes("after the fill", bare_kib, full_kib);
    if !only_churn {
        bench.hits();
        bench.misses();
        bench.changes();
        bench.dirty_bytes();
        bench.report_bytes("after it was half dirty", bare_kib, resident_kib());
    }
    bench.churn(bare_kib, full_kib);
}

fn entries() -> usize {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let given = std::env::var(ENTRIES_VARIABLE).ok().and_then(|given| given.parse().ok());
    given.unwrap_or(if smoke { SMOKE_ENTRIES } else { ENTRIES })
}

/// KiB of this process in memory; 0 where the system does not say.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Nanoseconds of processor time of this thread, so that a busy machine disturbs less; time as it
/// passes where the system does not say.
fn now_ns() -> u64 {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_processor = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    on_processor.unwrap_or_else(|| STARTED.elapsed().as_nanos() as u64)
}

struct Bench {
    cache: Cache,
    capacity: u64,
    /// Keys 0 to this one were inserted, in this order.
    inserted: u64,
    random: u64,
    row: ReadState,
}

impl Bench {
    fn new(entries: usize) -> Self {
        let entries = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        let parts =
            Parts { version: Version::from_micros(1), last_acked_id: 5, ..Parts::default() };
        Self {
            cache: Cache::new(Sizing::for_entries(entries, None, None), Version::ZERO, 7),
            capacity: entries.get() as u64,
            inserted: 0,
            random: 0,
            row: ReadState::from_parts(parts).expect("these parts are a state"),
        }
    }

    /// Operations of one round.
    fn round(&self) -> u64 {
        (self.capacity / 8).min(1_000_000)
    }

    fn insert(&mut self) {
        let ticket = self.cache.begin_load(key(self.inserted)).expect("the key is new");
        let row = Some(self.row.clone());
        let outcomes = self.cache.admit(ticket, row, &[Access::Read], &NOW);
        black_box(outcomes.expect("nothing comes between"));
        self.inserted += 1;
    }

    /// A key that was inserted lately enough to be in memory for sure.
    fn resident(&mut self) -> Key {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        key(self.inserted - 1 - mix(self.random) % (self.capacity / 2))
    }

    /// Users are not spread evenly over the shards: it takes more than the capacity to fill all.
    fn fill(&mut self) {
        self.measure("insert, without eviction", self.capacity / 8, Self::insert);
        while self.inserted < self.capacity * 3 / 2 {
            self.insert();
        }
    }

    fn hits(&mut self) {
        self.measure_hits("hit: read", &Access::Read);
        self.measure_hits("hit: update that changes nothing", &ack(1, None));
        let guard = Guard { version: Some(Version::from_micros(9)), last_acked_id: None };
        self.measure_hits("hit: update under a guard that does not match", &ack(1, Some(guard)));
    }

    /// Up to the store and back, without a store: the key is looked for, and a load begun.
    fn misses(&mut self) {
        self.measure("miss: ticket given out and back", self.round(), |bench| {
            bench.random = bench.random.wrapping_add(1);
            let key = key(u64::from(u32::MAX) + bench.random % (1 << 40));
            assert!(bench.cache.access(&key, &Access::Read, &NOW).is_none(), "it was never there");
            let ticket = bench.cache.begin_load(key).expect("it is not in memory");
            bench.cache.abandon_load(black_box(ticket));
        });
    }

    fn measure_hits(&mut self, what: &str, access: &Access) {
        self.measure(what, self.round(), |bench| bench.hit(access));
    }

    fn hit(&mut self, access: &Access) {
        let key = self.resident();
        let outcome = self.cache.access(&key, access, &NOW).expect("the key is in memory");
        let _ = black_box(outcome);
    }

    /// Each state is changed once, then again: only the first change enters the dirty index.
    fn changes(&mut self) {
        let round = self.round();
        let mut first = Vec::new();
        let mut further = Vec::new();
        let mut settle = Vec::new();
        for id in 0..ROUNDS {
            let started = self.random;
            first.push(self.time(round, |bench| bench.hit(&ack(10 + 2 * id, None))));
            self.random = started;
            further.push(self.time(round, |bench| bench.hit(&ack(11 + 2 * id, None))));
            settle.push(self.settle_everything());
        }
        report("hit: update, the state becomes dirty", first);
        report("hit: update, the state is dirty", further);
        report("collect and settle a dirty state", settle);
    }

    /// Nanoseconds per row.
    fn settle_everything(&mut self) -> f64 {
        let started_ns = now_ns();
        let mut settled = 0;
        for shard in 0..self.cache.shards() {
            loop {
                let mut rows = Vec::new();
                self.cache.collect_due(shard, u64::MAX, usize::MAX, &mut rows);
                for (key, state) in &rows {
                    self.cache.settle(key, state.version(), true, NOW.elapsed_ms);
                }
                settled += rows.len();
                if rows.is_empty() {
                    break;
                }
            }
        }
        each(now_ns() - started_ns, settled)
    }

    /// Makes as many states dirty as may be, and clean again.
    fn dirty_bytes(&mut self) {
        let before_kib = resident_kib();
        let limit = self.cache.sizing().dirty_limit as u64;
        // The last half of what was inserted, one by one, short of what is sure to be resident.
        for back in 1..limit {
            let key = key(self.inserted - back);
            let outcome = self.cache.access(&key, &ack(1_000, None), &NOW);
            black_box(outcome.expect("the key is in memory")).expect("a place is free");
        }
        let bytes = resident_kib().saturating_sub(before_kib) * 1024;
        let dirty = self.cache.dirty();
        println!("{dirty} dirty: {:.1} bytes each (as charged: {DIRTY_BYTES})", each(bytes, dirty));
        self.settle_everything();
    }

    /// Inserts new keys over clean old ones.
    fn churn(&mut self, bare_kib: u64, full_kib: u64) {
        let mut evict = Vec::new();
        println!("churn in capacities, and bytes an entry: each # is 4");
        for step in 1..=CHURN_STEPS {
            evict.push(self.time(self.capacity * CHURN / CHURN_STEPS, Self::insert));
            let (_, bytes) = self.bytes(bare_kib, resident_kib());
            let bar = "#".repeat((bytes / 4.0) as usize);
            println!("{:>4} {bar} {bytes:.1}", step * CHURN / CHURN_STEPS);
        }
        let kib = resident_kib();
        self.report_bytes("after the churn", bare_kib, kib);
        println!("    {:.3} x the fill", kib as f64 / full_kib.max(1) as f64);
        report("insert, evicting a clean entry", evict);
    }

    /// Entries, and the bytes of each.
    fn bytes(&self, bare_kib: u64, kib: u64) -> (usize, f64) {
        let entries = self.cache.counts(NOW.elapsed_ms).entries;
        (entries, each(kib.saturating_sub(bare_kib) * 1024, entries))
    }

    fn report_bytes(&self, when: &str, bare_kib: u64, kib: u64) {
        let (entries, bytes) = self.bytes(bare_kib, kib);
        println!("{entries} entries {when}: {bytes:.1} bytes each (as charged: {ENTRY_BYTES})");
    }

    fn measure(&mut self, what: &str, operations: u64, operation: impl Fn(&mut Self)) {
        let rounds = (0..ROUNDS).map(|_| self.time(operations, &operation)).collect();
        report(what, rounds);
    }

    /// Nanoseconds per operation.
    fn time(&mut self, operations: u64, operation: impl Fn(&mut Self)) -> f64 {
        let started_ns = now_ns();
        for _ in 0..operations {
            operation(self);
        }
        each(now_ns() - started_ns, operations as usize)
    }
}

fn report(what: &str, mut rounds: Vec<f64>) {
    rounds.sort_by(f64::total_cmp);
    let (least, most) = (rounds[0], rounds[rounds.len() - 1]);
    println!("{what}: {:.0} ns ({least:.0} to {most:.0})", rounds[rounds.len() / 2]);
}

fn each(sum: u64, number: usize) -> f64 {
    sum as f64 / number.max(1) as f64
}

fn key(number: u64) -> Key {
    let user = UserId::new(1 + number / CHANNELS_PER_USER).expect("not 0");
    let channel = ChannelId::new(mix(number).max(1)).expect("not 0");
    let other = number.is_multiple_of(OTHER_KIND_EVERY);
    Key { user, kind: if other { Kind::GuildHome } else { Kind::Channel }, channel }
}

fn ack(id: u64, guard: Option<Guard>) -> Access {
    let message = MessageId::new(id).expect("not 0");
    let operation = Operation::Ack { message, flags: None, last_viewed_day: None };
    Access::Update(Update { operation, guard: guard.unwrap_or_default() })
}

/// The finalizer of `SplitMix64`, a bijection.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
