//! The parts of a server without its ports, on a runtime that takes one turn when it is told to.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use rand::rngs::StdRng;
use readstates::{
    cache::{Cache, Full, Log, NoLog},
    clock::{Clock, ManualTime},
    engine::{Durability, Engine, EngineSettings},
    flush::{self, Flusher, JournalLog, PassEnd, Rounds, Scope, raise_ceiling},
    journal::{Journal, JournalError, Record, Recovery, SimulatedDisk, Step, Writer},
    metrics::Metrics,
    model::Sequence,
    store::{MemoryStore, Store},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::{AbortHandle, yield_now},
    time::advance,
};

use crate::{lossy_store::LossyStore, plan::Plan};

/// Turns of a future and the writer; more mean that neither gets on.
const TURNS_MAX: u32 = 20_000;

/// What outlives a process.
pub struct Ground {
    pub disk: SimulatedDisk,
    pub memory: MemoryStore,
    pub lossy: LossyStore,
    pub time: Arc<ManualTime>,
    pub metrics: Arc<Metrics>,
}

/// A process that serves.
pub struct Node {
    runtime: Runtime,
    pub engine: Arc<Engine>,
    cache: Arc<Cache>,
    rounds: Rounds,
    flusher: Arc<Flusher>,
    writing: Option<(Journal, Writer)>,
}

impl Ground {
    fn open(&self, plan: &Plan, random: &mut StdRng) -> Arc<dyn Store> {
        if plan.lossy {
            self.lossy.reopen(random);
            return Arc::new(self.lossy.clone());
        }
        self.memory.reopen();
        Arc::new(self.memory.clone())
    }

    /// Starts a process on it, as the server starts.
    pub fn start(&self, plan: &Plan, random: &mut StdRng) -> Node {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .event_interval(1)
            // Woken from within or from without, all are in one line.
            .global_queue_interval(2)
            .build()
            .expect("a runtime");
        let store = self.open(plan, random);
        let clock = Clock::manual(Arc::clone(&self.time));
        let ceiling = wait(&runtime, None, store.clock_ceiling()).expect("it is well");
        let recovery = plan.journal.map(|options| {
            let identity = wait(&runtime, None, store.identity()).expect("it is well");
            let disk = Arc::new(self.disk.clone());
            let mut recovery = Recovery::open(disk, options).expect("it is whole");
            recovery.check_store(identity).expect("it is the same store");
            recovery
        });
        let last = recovery.as_ref().map_or(ceiling, |recovery| ceiling.max(recovery.ceiling()));
        let mut writing = recovery.as_ref().map(|recovery| recovery.begin().expect("it begins"));
        let log: Arc<dyn Log> = match &writing {
            Some((journal, _)) => Arc::new(JournalLog(journal.clone())),
            None => Arc::new(NoLog),
        };
        let cache = Arc::new(Cache::with_log(plan.sizing, last, plan.seed, &log));
        let (store, metrics) = (&store, &self.metrics);
        let mut flusher = Flusher::new(
            Arc::clone(&cache),
            Arc::clone(store),
            clock.clone(),
            Arc::clone(metrics),
            plan.flush,
        );
        if let (Some(recovery), Some((journal, writer))) = (&recovery, &mut writing) {
            flusher = flusher.with_journal(journal.clone(), recovery.commits());
            relive(&runtime, recovery, &cache, &flusher, writer);
            let raised = wait(&runtime, Some(writer), flusher.raise_ceiling());
            raised.expect("nothing fails");
        } else {
            let raised = raise_ceiling(&clock, store.as_ref(), last);
            wait(&runtime, None, raised).expect("it is well");
        }
        let durability = match &writing {
            Some((journal, _)) => Durability::Journal(journal.clone()),
            None => Durability::Memory,
        };
        let settings = EngineSettings {
            durability,
            concurrent_loads: 4,
            tombstone_ttl_ms: plan.flush.tombstone_ttl_ms,
            watched_users: 1_000,
            waiting_changes: plan.waiting_changes,
            waiting_changes_per_watch: plan.waiting_changes_per_watch,
        };
        let (rounds, flusher) = (Rounds::default(), Arc::new(flusher));
        let engine = Engine::new(
            Arc::clone(&cache),
            Arc::clone(store),
            clock,
            rounds.clone(),
            Arc::clone(metrics),
            settings,
        );
        let node = Node { runtime, engine: Arc::new(engine), cache, rounds, flusher, writing };
        let (flusher, rounds) = (Arc::clone(&node.flusher), node.rounds.clone());
        node.spawn(async move { flush::run(&flusher, &rounds).await });
        node
    }
}

impl Node {
    /// Begins something in the process.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(work).abort_handle()
    }

    /// One of those that were woken is polled.
    pub fn turn(&self) {
        self.runtime.block_on(yield_now());
    }

    /// A group of the journal becomes durable; whether there was one.
    pub fn write(&mut self) -> bool {
        let step = self.writing.as_mut().map(|(_, writer)| writer.step());
        matches!(step, Some(Step::Committed { .. }))
    }

    /// Lets the time of the runtime go on; the clock's is the ground's.
    pub fn advance(&self, ms: u64) {
        self.runtime.block_on(advance(Duration::from_millis(ms)));
    }

    /// The flusher looks now.
    pub fn nudge(&self) {
        self.rounds.nudge();
    }

    /// The flusher is to write everything.
    pub fn flush(&self) {
        let rounds = self.rounds.clone();
        self.spawn(async move { rounds.flushed().await.unwrap_or_default() });
    }

    /// Whether no state waits for the store.
    pub fn is_clean(&self) -> bool {
        self.cache.dirty() == 0
    }

    /// Loads under way.
    pub fn loads(&self) -> usize {
        self.cache.loads()
    }

    pub fn self_check(&self) {
        self.cache.self_check();
    }

    /// Ends it without a word: everything that runs in it is gone at once.
    pub fn kill(self) {
        drop(self.runtime);
    }

    /// Ends it as the server does, with everything in the store and a sealed journal.
    pub fn close(self) {
        let newest = self.cache.newest_version();
        drop(self.runtime);
        if let Some((_, writer)) = self.writing {
            writer.close(Some(newest)).expect("the disk is well");
        }
    }
}

/// Brings what is in the journal into the cache, and from there on.
fn relive(
    runtime: &Runtime,
    recovery: &Recovery,
    cache: &Cache,
    flusher: &Flusher,
    writer: &mut Writer,
) {
    flusher.set_replaying(true);
    let replayed = recovery.replay::<JournalError>(&mut |sequence, record| {
        while restore(cache, sequence, &record).is_err() {
            let end = wait(runtime, Some(writer), flusher.pass(Scope::Everything));
            assert_ne!(end, PassEnd::Failed, "nothing fails");
        }
        Ok(())
    });
    flusher.set_replaying(false);
    if replayed.expect("it is whole").records > 0 {
        wait(runtime, Some(writer), flusher.checkpoint());
    }
}

fn restore(cache: &Cache, sequence: Sequence, record: &Record) -> Result<(), Full> {
    match record {
        Record::State { key, state } => cache.restore(key, state.clone(), sequence, 0),
        Record::UserDeletion { user, version } => cache.restore_deletion(*user, *version, sequence),
        _ => Ok(()),
    }
}

/// Runs a future and the writer in turns until the future ends.
fn wait<T>(
    runtime: &Runtime,
    mut writer: Option<&mut Writer>,
    future: impl Future<Output = T>,
) -> T {
    let mut future = pin!(future);
    for _ in 0..TURNS_MAX {
        let once = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(answer) = runtime.block_on(once) {
            return answer;
        }
        if let Some(writer) = &mut writer {
            writer.step();
        }
    }
    panic!("neither the store nor the journal gets on");
}
