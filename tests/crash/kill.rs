//! Kill -9 under load, over and over on the same data: everything acknowledged is there after each
//! restart, nothing is counted twice, and versions only rise.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use crate::{
    crew::{Crew, Tally},
    node::{Ended, Node, Plan},
    settings::{DURABILITY, either, seed},
};

/// A kill counts if at least so many calls were acknowledged since the start ...
const ACKNOWLEDGED_MIN: u64 = 500;
/// ... and so many were in flight: sent, and then never answered.
const CUT_MIN: u64 = 50;
/// A kill comes up to so many acknowledgements later.
const ACKNOWLEDGED_MORE: u64 = 600;
/// Once in so many rounds the server is asked to end instead, so that seals have their turn too.
const ROUNDS_PER_CLEAN_END: u32 = 16;
/// Once in so many rounds it is killed while it starts, too.
const ROUNDS_PER_EARLY_KILL: u32 = 4;
/// No start takes longer where several share a machine; a kill while it starts comes at any moment
/// of it, mostly early: a start of its own takes a fifth of this.
const START: Duration = Duration::from_millis(600);

/// A server that is killed again and again.
struct Trial {
    rng: StdRng,
    crew: Crew,
    data: TempDir,
    durability: &'static str,
}

impl Trial {
    fn new(seed: u64, durability: &'static str) -> Self {
        let data = TempDir::new().expect("there is room for a directory");
        Self { rng: StdRng::seed_from_u64(seed), crew: Crew::new(seed), data, durability }
    }

    /// Settings under which journal, flushes and evictions meet in other ways each time.
    fn plan(&mut self) -> Plan {
        let entries = *["200000", "3000", "600"].choose(&mut self.rng).expect("one of them");
        let flush_after = *["30s", "1s", "50ms"].choose(&mut self.rng).expect("one of them");
        let flags = ["--durability", self.durability, "--cache-entries", entries];
        let flags = [&flags[..], &["--flush-after", flush_after]].concat();
        Plan::new(self.data.path(), &flags)
    }

    /// Starts the server, perhaps after a start that is cut off.
    async fn start(&mut self) -> Node {
        let plan = self.plan();
        if self.rng.random_ratio(1, ROUNDS_PER_EARLY_KILL) {
            let starting = plan.spawn();
            // No wait for anything: the moment of the kill is what is drawn here.
            let moment: f64 = self.rng.random();
            tokio::time::sleep(START.mul_f64(moment * moment)).await;
            starting.kill();
        }
        plan.start().unwrap_or_else(|ended| panic!("it does not start: {ended:#?}"))
    }

    /// One life of the server, ended by a kill.
    async fn kill(&mut self) -> (Ended, Tally) {
        let node = self.start().await;
        let wanted = ACKNOWLEDGED_MIN + self.rng.random_range(0..ACKNOWLEDGED_MORE);
        self.crew.round(node, wanted, async |node, _| node.kill()).await
    }

    /// One life of the server, ended by its own will.
    async fn terminate(&mut self) -> (Ended, Tally) {
        let node = self.start().await;
        self.crew.round(node, ACKNOWLEDGED_MIN, async |node, _| node.terminate()).await
    }
}

fn assert_nothing_found(tally: &Tally, ended: &Ended) {
    let found = tally.findings.join("\n");
    assert!(found.is_empty(), "{found}\n\nThe end of the log: {:#?}", ended.log);
}

/// What many lives came to.
#[derive(Debug, Default)]
struct Sum {
    kills: u32,
    void: u32,
    acknowledged: u64,
    cut: u64,
}

impl Sum {
    fn add(&mut self, tally: &Tally) {
        self.acknowledged += tally.acknowledged;
        self.cut += tally.cut;
        let counts = tally.acknowledged >= ACKNOWLEDGED_MIN && tally.cut >= CUT_MIN;
        if counts {
            self.kills += 1
        } else {
            self.void += 1
        }
        assert!(self.void <= 5 + self.kills / 10, "most kills are void: {self:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_37_everything_acknowledged_survives_kill_after_kill() {
    let (seed, begun) = (seed(), Instant::now());
    let (kills, kills_per_disk) = either((100, 25), (2_000, 200));
    let mut sum = Sum::default();
    while sum.kills < kills {
        let mut trial = Trial::new(seed + u64::from(sum.kills), DURABILITY);
        let all = kills.min(sum.kills + kills_per_disk);
        while sum.kills < all {
            let (ended, tally) = trial.kill().await;
            assert_nothing_found(&tally, &ended);
            assert_eq!(tally.compared, trial.crew.size(), "{tally:?}");
            sum.add(&tally);
            if trial.rng.random_ratio(1, ROUNDS_PER_CLEAN_END) {
                let (ended, tally) = trial.terminate().await;
                assert_nothing_found(&tally, &ended);
                assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.log);
            }
        }
        let node = trial.start().await;
        let tally = trial.crew.compare(&node).await;
        assert_nothing_found(&tally, &node.kill());
        println!("{sum:?} after {:?}", begun.elapsed());
    }
}

/// What would be the worth of a checker that a server without any durability passes?
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_catches_a_server_that_forgets() {
    const ROUNDS_MAX: usize = 5;
    let mut trial = Trial::new(seed(), "memory");
    for _ in 0..ROUNDS_MAX {
        let (_, tally) = trial.kill().await;
        if !tally.findings.is_empty() {
            return;
        }
    }
    panic!("{ROUNDS_MAX} kills went unnoticed");
}
