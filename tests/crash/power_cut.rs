//! Power cuts under load, on a disk that keeps what was synced and of the rest whatever it likes:
//! everything acknowledged is there afterwards, and the server starts again by itself.

use std::time::Instant;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;

use crate::{
    crew::{Clients, Crew, Tally},
    fs::{Disk, Mount},
    node::{Ended, Node, Plan},
    settings::{DURABILITY, either, seed},
};

/// Calls acknowledged before a cut under load.
const ACKNOWLEDGED: u64 = 200;
/// Changes of the disk between those and the cut, at most.
const CHANGES_MAX: u64 = 60;
/// Changes that a start makes, or a few more: one in four cuts comes while the server starts.
const STARTING_CHANGES_MAX: u64 = 80;
const CUTS_PER_START_CUT: u32 = 4;
/// Lives of one disk.
const CUTS_PER_DISK: u32 = 20;

/// A server on a disk that loses power.
struct Trial {
    rng: StdRng,
    crew: Crew,
    folder: TempDir,
    disk: Disk,
}

/// How one life went: where the power went while the server started, nothing was called.
struct Life {
    ended: Ended,
    tally: Option<Tally>,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let folder = TempDir::new().expect("there is room for a directory");
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, crew: Crew::new(seed), folder, disk: Disk::default() }
    }

    fn mount(&self) -> std::io::Result<Mount> {
        Mount::new(self.disk.clone(), self.folder.path())
    }

    fn plan(&mut self) -> Plan {
        let entries = *["200000", "3000", "600"].choose(&mut self.rng).expect("one of them");
        let flush_after = *["30s", "1s", "50ms"].choose(&mut self.rng).expect("one of them");
        let flags = ["--durability", DURABILITY, "--cache-entries", entries];
        let flags = [&flags[..], &["--flush-after", flush_after]].concat();
        // Below the root, so that the folder itself has to be made to last.
        Plan::new(&self.folder.path().join("data"), &flags)
    }

    /// One life of the server, which ends with the power.
    async fn live(&mut self, mount: &Mount) -> Life {
        let starting = self.plan().spawn();
        let early = self.rng.random_ratio(1, CUTS_PER_START_CUT);
        if early {
            let changes = self.rng.random_range(1..=STARTING_CHANGES_MAX);
            mount.cut_after(changes, starting.killer());
        }
        let node = match starting.listening() {
            Ok(node) => node,
            Err(ended) => {
                assert!(mount.is_dark(), "it does not start: {ended:#?}");
                return Life { ended, tally: None };
            }
        };
        let changes = self.rng.random_range(1..=CHANGES_MAX);
        let cut = async |node: Node, clients| {
            match clients {
                Clients::Calling if !early => mount.cut_after(changes, node.killer()),
                Clients::Calling => {}
                Clients::Done => node.killer().kill(),
            }
            node.ended()
        };
        let (ended, tally) = self.crew.round(node, ACKNOWLEDGED, cut).await;
        Life { ended, tally: Some(tally) }
    }

    /// The power is gone; what the disk has kept is mounted at the next start.
    fn lose_power(&mut self, mount: Mount) {
        self.disk = mount.unmount().after_power_cut(&mut self.rng);
    }
}

fn assert_nothing_found(life: &Life) {
    let found = life.tally.as_ref().map(|tally| tally.findings.join("\n")).unwrap_or_default();
    assert!(found.is_empty(), "{found}\n\nThe end of the log: {:#?}", life.ended.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_power_cuts() {
    if !Mount::is_possible() {
        return;
    }
    let (seed, begun) = (seed(), Instant::now());
    let cuts: u32 = either(100, 1_000);
    let (mut done, mut acknowledged, mut unanswered) = (0, 0, 0);
    while done < cuts {
        let mut trial = Trial::new(seed + u64::from(done));
        for _ in 0..CUTS_PER_DISK {
            let mount = trial.mount().expect("it could be mounted before");
            let life = trial.live(&mount).await;
            assert_nothing_found(&life);
            acknowledged += life.tally.as_ref().map_or(0, |tally| tally.acknowledged);
            unanswered += life.tally.as_ref().map_or(0, |tally| tally.cut);
            trial.lose_power(mount);
            done += 1;
        }
        let mount = trial.mount().expect("it could be mounted before");
        let node = trial.plan().start().unwrap_or_else(|ended| panic!("{ended:#?}"));
        let tally = trial.crew.compare(&node).await;
        assert_nothing_found(&Life { tally: Some(tally), ended: node.kill() });
        mount.unmount();
        println!(
            "{done} power cuts, {acknowledged} acknowledged, {unanswered} unanswered, {:?}",
            begun.elapsed()
        );
    }
}

/// What would be the worth of a disk that forgets, if one that never syncs went unnoticed?
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_sync_is_noticed() {
    const CUTS_MAX: u32 = 10;
    if !Mount::is_possible() {
        return;
    }
    let mut trial = Trial::new(seed());
    for _ in 0..CUTS_MAX {
        let mount = trial.mount().expect("it could be mounted before");
        mount.lie();
        let starting = trial.plan().spawn();
        let Ok(node) = starting.listening() else { return };
        let (_, tally) = trial.crew.round(node, ACKNOWLEDGED, async |node, _| node.kill()).await;
        trial.lose_power(mount);
        if !tally.findings.is_empty() {
            return;
        }
    }
    panic!("{CUTS_MAX} cuts went unnoticed");
}
