//! Some services, their clocks and their bad luck, drawn from a seed.

use std::{cell::Cell, ops::AddAssign, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    runtime,
    time::{sleep, timeout},
};

use super::{cluster::Cluster, cluster::Line, ice::Ice};
use crate::{
    lease::{Acquire, AcquireError, BootClock, Lease, NotOwner},
    metrics::Metrics,
    model::Version,
};

const STORM: Duration = Duration::from_secs(120);
/// After it somebody has the lease: a dead owner's beat, on the slowest clock, and some tries.
const CALM: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What happened, so that a run which avoids what it is for can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub epochs: u64,
    pub refusals: u64,
    pub given_up: u64,
    pub crashes: u64,
    pub releases: u64,
    /// Owners that found themselves deposed.
    pub deposed: u64,
    /// Leases that lapsed and came back.
    pub regained: u64,
    pub freezes: u64,
    pub cuts: u64,
    pub versions: u64,
    pub unknown: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.epochs += other.epochs;
        self.refusals += other.refusals;
        self.given_up += other.given_up;
        self.crashes += other.crashes;
        self.releases += other.releases;
        self.deposed += other.deposed;
        self.regained += other.regained;
        self.freezes += other.freezes;
        self.cuts += other.cuts;
        self.versions += other.versions;
        self.unknown += other.unknown;
    }
}

struct Holding {
    lease: Lease,
    passed: Cell<bool>,
}

struct World {
    cluster: Cluster,
    metrics: Metrics,
    tally: Mutex<Tally>,
    /// Every lease that there ever was, also of services that are gone.
    holdings: Mutex<Vec<Holding>>,
    given: Mutex<Vec<(u64, Version)>>,
    calm: Mutex<bool>,
}

struct Service {
    name: String,
    world: Arc<World>,
    line: Line,
    clock: BootClock,
    ice: Ice,
}

/// Plays the world of `seed`; panics where two believe that they own it.
pub fn play(seed: u64) -> Tally {
    let mut runtime = runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(play_in(seed))
}

async fn play_in(seed: u64) -> Tally {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = Arc::new(World {
        cluster: Cluster::new(),
        metrics: Metrics::new().expect("names are valid"),
        tally: Mutex::default(),
        holdings: Mutex::default(),
        given: Mutex::default(),
        calm: Mutex::new(false),
    });
    let services: Vec<Arc<Service>> = (0..rng.random_range(2..=3))
        .map(|number| Arc::new(world.service(number, &mut rng)))
        .collect();
    for service in &services {
        let life = Arc::clone(service).live(StdRng::seed_from_u64(rng.random()));
        tokio::spawn(service.ice.over(life));
        tokio::spawn(Arc::clone(service).suffer(StdRng::seed_from_u64(rng.random())));
    }
    world.look_on_for(STORM).await;
    *world.calm.lock() = true;
    for service in &services {
        service.line.weather(None);
        service.line.mend();
        service.ice.thaw();
    }
    world.look_on_for(CALM).await;
    assert_eq!(world.owners(), 1, "nobody took the lease in all the time of calm");
    world.check_versions();
    world.cluster.assert_sound();
    let mut tally = world.tally.lock().clone();
    tally.epochs = world.cluster.row().map_or(0, |row| row.epoch);
    tally.unknown = world.cluster.fates().iter().filter(|fate| **fate != "answered").count() as u64;
    tally
}

impl World {
    fn service(self: &Arc<Self>, number: u32, rng: &mut StdRng) -> Service {
        let rate = [0.9, 1.0, 1.1, rng.random_range(0.9..1.1)][rng.random_range(0..4)];
        let offset_ms = rng.random_range(0..1_000_000);
        let cluster = self.cluster.clone();
        let clock = BootClock::manual(move || offset_ms + (cluster.now_ms() as f64 * rate) as u64);
        let line = self.cluster.line();
        line.weather(Some(rng.random()));
        let name = format!("service-{number}");
        Service { name, world: Arc::clone(self), line, clock, ice: Ice::new() }
    }

    /// Looks at all leases all the time.
    async fn look_on_for(&self, duration: Duration) {
        let end_ms = self.cluster.now_ms() + duration.as_millis() as u64;
        while self.cluster.now_ms() < end_ms {
            assert!(self.owners() <= 1, "two own it at {} ms", self.cluster.now_ms());
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many believe that they own the keyspace. None does whose row is not there any more.
    fn owners(&self) -> usize {
        let row = self.cluster.row();
        let mut owners = 0;
        let mut holdings = self.holdings.lock();
        for Holding { lease, passed } in &*holdings {
            let passes = lease.check().is_ok();
            if passes {
                owners += 1;
                let row = row.as_ref().expect("somebody has it");
                let now_ms = self.cluster.now_ms();
                assert_eq!((lease.epoch(), lease.owner()), (row.epoch, &*row.owner), "{now_ms}");
            }
            if passes && !passed.replace(passes) {
                self.tally.lock().regained += 1;
            }
            passed.set(passes);
        }
        // What has ended has ended: there is a test of that alone.
        holdings.retain(|held| !held.lease.check().is_err_and(|reason| reason.is_final()));
        owners
    }

    /// Those of an epoch lie above all that any earlier one could give out, ever.
    fn check_versions(&self) {
        for (epoch, version) in &*self.given.lock() {
            let (before, own) = self.cluster.ceilings(*epoch);
            assert!(*version > before && *version <= own, "{version} in {epoch}: {before}..{own}");
        }
    }
}

impl Service {
    async fn live(self: Arc<Self>, mut rng: StdRng) {
        loop {
            sleep(Duration::from_millis(rng.random_range(0..3000))).await;
            let Some(lease) = self.acquire(&mut rng).await else { continue };
            let keeping = lease.clone().keep();
            let end = Duration::from_millis(rng.random_range(0..40_000));
            let crashes = rng.random_bool(0.5);
            let life = async {
                sleep(end).await;
                while *self.world.calm.lock() {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let lost = tokio::select! {
                biased;
                lost = lease.lost() => Some(lost),
                () = life => None,
                () = keeping => Some(lease.check().expect_err("it ended")),
                () = self.serve(&lease, &mut rng) => None,
            };
            match (lost, crashes) {
                (Some(reason), _) => {
                    assert!(matches!(reason, NotOwner::TakenOver { .. } | NotOwner::Passed { .. }));
                    self.world.tally.lock().deposed += 1;
                }
                (None, true) => self.world.tally.lock().crashes += 1,
                (None, false) => {
                    self.world.tally.lock().releases += 1;
                    lease.release().await;
                }
            }
        }
    }

    async fn acquire(&self, rng: &mut StdRng) -> Option<Lease> {
        let wish = Acquire::new(self.name.clone(), rng.random_bool(0.5));
        let table = Arc::new(self.line.clone());
        let metrics = self.world.metrics.lease.clone();
        let acquiring = Lease::acquire(table, self.clock.clone(), metrics, wish);
        let patience = Duration::from_millis(rng.random_range(2000..120_000));
        let tally = &self.world.tally;
        match timeout(patience, acquiring).await {
            Ok(Ok(lease)) => {
                let passed = Cell::new(lease.check().is_ok());
                let lapsed = Holding { lease: lease.clone(), passed };
                self.world.holdings.lock().push(lapsed);
                assert!(self.world.owners() <= 1, "two at {} ms", self.world.cluster.now_ms());
                return Some(lease);
            }
            Ok(Err(AcquireError::Held { .. })) => tally.lock().refusals += 1,
            Ok(Err(_)) | Err(_) => tally.lock().given_up += 1,
        }
        None
    }

    /// Gives out versions, and raises the ceiling ahead of them.
    async fn serve(&self, lease: &Lease, rng: &mut StdRng) {
        let mut last = lease.ceiling();
        loop {
            sleep(Duration::from_millis(rng.random_range(1..400))).await;
            if last >= lease.ceiling() {
                let ahead = last.as_micros() + rng.random_range(1..20);
                let raising = lease.raise_ceiling(Version::from_micros(ahead));
                // Who asked for it goes away, now and then.
                timeout(Duration::from_millis(rng.random_range(1..4000)), raising).await.ok();
                continue;
            }
            if lease.check().is_ok() {
                last = last.next();
                self.world.given.lock().push((lease.epoch(), last));
                self.world.tally.lock().versions += 1;
            }
        }
    }

    /// What befalls it.
    async fn suffer(self: Arc<Self>, mut rng: StdRng) {
        loop {
            sleep(Duration::from_millis(rng.random_range(0..30_000))).await;
            let length = Duration::from_millis(rng.random_range(100..20_000));
            if *self.world.calm.lock() {
                return;
            }
            if rng.random_bool(0.5) {
                self.world.tally.lock().freezes += 1;
                self.ice.freeze(length);
            } else {
                self.world.tally.lock().cuts += 1;
                self.line.cut();
                sleep(length).await;
                self.line.mend();
            }
        }
    }
}
