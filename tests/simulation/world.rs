//! The scheduler: one thread that draws, step by step, what happens next.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    clock::ManualTime,
    flush::{PassEnd, Scope},
    journal::{SimulatedDisk, Step, Writer},
    metrics::Metrics,
    store::Gate,
};

use crate::{
    client::Client,
    history::History,
    life::Life,
    lossy_store::{LossyStore, Undo},
    plan::{Act, Plan},
    tally::Tally,
    tasks::Tasks,
    trace::Trace,
    wish::{Wish, Wishes},
};

/// When every run begins, in microseconds since the Unix epoch.
const START_US: u64 = 1_700_000_000_000_000;
/// A server whose journal failed ends soon: after one of so many steps.
const STEPS_TO_GIVE_UP: u32 = 20;
/// Turns in which everything that is under way has to come to its end.
const DRAIN_MAX: u32 = 50_000;
/// Turns of the writer alone after which somebody who still waits waits for ever.
const STUCK_AFTER: u32 = 20;

/// A process that serves.
pub struct Up {
    pub life: Rc<Life>,
    pub writer: Writer,
    pub gates: Vec<Gate>,
    pub flushing: Rc<Cell<bool>>,
    pub raising: Rc<Cell<bool>>,
}

/// Everything of one run.
pub struct World {
    pub plan: Plan,
    pub random: StdRng,
    pub disk: SimulatedDisk,
    pub lossy: LossyStore,
    pub time: Arc<ManualTime>,
    pub metrics: Arc<Metrics>,
    pub history: Rc<RefCell<History>>,
    pub trace: Trace,
    pub tasks: Tasks,
    pub up: Option<Up>,
    /// Calls of the disk fail, or may: what fails then needs no other excuse.
    pub disk_fails: bool,
    /// Nothing reaches the disk any more; after so many steps the power goes.
    pub stopping: Option<u32>,
    /// How to put the right store back.
    pub undo: Option<Undo>,
    pub tally: Tally,
    wishes: Wishes,
    calls: u64,
}

impl World {
    pub fn new(seed: u64, metrics: &Arc<Metrics>, trace: Trace) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            plan: Plan::draw(seed, &mut random),
            random,
            disk: SimulatedDisk::default(),
            lossy: LossyStore::new(),
            time: ManualTime::starting_at(START_US),
            metrics: Arc::clone(metrics),
            history: Rc::default(),
            trace,
            tasks: Tasks::default(),
            up: None,
            disk_fails: false,
            stopping: None,
            undo: None,
            tally: Tally::default(),
            wishes: Wishes::default(),
            calls: 0,
        }
    }

    /// The whole run; what it came to.
    pub fn run(mut self) -> Tally {
        self.start();
        for _ in 0..self.plan.steps {
            self.step();
        }
        self.finish();
        self.tally.changes = self.history.borrow().tally;
        self.tally
    }

    fn step(&mut self) {
        match &mut self.stopping {
            Some(0) => return self.cut_power(),
            Some(left) => *left -= 1,
            None => {}
        }
        let failed = self.up().life.journal.failure().is_some();
        if failed && self.random.random_ratio(1, STEPS_TO_GIVE_UP) {
            return self.kill();
        }
        match self.plan.act(&mut self.random) {
            Act::Poll => drop(self.poll()),
            Act::Write => drop(self.write()),
            Act::Call => self.call(),
            Act::Cancel => self.cancel(),
            Act::Flush => self.flush(),
            Act::Tick => self.tick(),
            Act::SetClock => self.set_clock(),
            Act::FailStore => self.fail_store(),
            Act::HoldStore => self.hold_store(),
            Act::HealStore => self.heal_store(),
            Act::FailDisk => self.fail_disk(),
            Act::FillDisk => self.fill_disk(),
            Act::StopDisk => self.stop_disk(),
            Act::Check => self.check(),
            Act::Kill => self.kill(),
            Act::CutPower => self.cut_power(),
            Act::Stop => self.stop(),
        }
    }

    pub fn up(&mut self) -> &mut Up {
        self.up.as_mut().expect("between steps a process serves")
    }

    fn poll(&mut self) -> bool {
        let ready = self.tasks.ready();
        if ready.is_empty() {
            return false;
        }
        let index = ready[self.random.random_range(0..ready.len())];
        self.trace.note(|| format!("poll {}", self.tasks.name(index)));
        self.tasks.poll(index);
        true
    }

    fn write(&mut self) -> Step {
        let up = self.up.as_mut().expect("between steps a process serves");
        let step = up.writer.step();
        let durable = up.life.journal.durable();
        self.history.borrow_mut().secure(durable);
        self.trace.note(|| format!("write: {step:?}, durable {durable}"));
        self.tally.groups += u64::from(matches!(step, Step::Committed { .. }));
        step
    }

    fn call(&mut self) {
        if self.tasks.len() >= self.plan.callers_max {
            return;
        }
        self.calls += 1;
        let number = self.calls;
        let history = Rc::clone(&self.history);
        let current = |key: &_| history.borrow().state(key).view();
        let wish = self.wishes.draw(&mut self.random, &self.plan, current);
        self.trace.note(|| format!("call {number}: {wish:?}"));
        let (life, trace) = (Rc::clone(&self.up().life), self.trace.clone());
        let client = Client { life, history, trace, number };
        let name = format!("call {number}");
        let spawner = self.tasks.spawner();
        match wish {
            Wish::Access(key, access) => spawner.spawn(name, false, client.access(key, access)),
            Wish::DeleteUser(user) => spawner.spawn(name, false, client.delete_user(user)),
            Wish::List(user) => spawner.spawn(name, false, client.list(user)),
        }
    }

    fn cancel(&mut self) {
        let some = self.tasks.cancellable();
        if !some.is_empty() {
            let index = some[self.random.random_range(0..some.len())];
            self.trace.note(|| format!("cancel {}", self.tasks.name(index)));
            self.tasks.cancel(index);
        }
    }

    /// The flusher's thread does one thing after the other.
    fn flush(&mut self) {
        let what = self.random.random_range(0..10);
        let up = self.up();
        let (life, busy) = (Rc::clone(&up.life), Rc::clone(&up.flushing));
        if busy.replace(true) {
            return;
        }
        let trace = self.trace.clone();
        self.tasks.spawner().spawn("flush".to_owned(), true, async move {
            let end = flush(&life, what).await;
            trace.note(|| format!("flush {what}: {end:?}, dirty {}", life.cache.dirty()));
            busy.set(false);
        });
    }

    fn tick(&mut self) {
        self.time.advance_ms(self.random.random_range(0..150));
        let up = self.up();
        let (life, busy) = (Rc::clone(&up.life), Rc::clone(&up.raising));
        if !busy.replace(true) {
            self.tasks.spawner().spawn("ceiling".to_owned(), true, async move {
                let _ = life.flusher.raise_ceiling().await;
                busy.set(false);
            });
        }
    }

    pub fn check(&mut self) {
        let up = self.up.as_ref().expect("between steps a process serves");
        let (cache, usage) = (&up.life.cache, up.life.journal.usage());
        cache.self_check();
        self.history.borrow().check(cache, &self.lossy);
        let segment_bytes = self.plan.journal.segment_bytes;
        assert!(usage.lag_bytes <= segment_bytes, "{usage:?}");
        assert!(usage.horizon <= usage.durable, "{usage:?}");
        self.tally.observe(&cache.counts(0));
    }

    /// Lets everything under way come to its end; whether it did, rather than the journal's end.
    pub fn drain(&mut self) -> bool {
        let mut stalled = 0;
        for _ in 0..DRAIN_MAX {
            if self.tasks.len() == 0 {
                return true;
            }
            if self.random.random_bool(0.3) || !self.poll() {
                let step = self.write();
                if step == Step::Failed {
                    return false;
                }
                let waits = self.tasks.ready().is_empty();
                let still = waits && !matches!(step, Step::Committed { .. });
                stalled = if still { stalled + 1 } else { 0 };
                assert!(stalled < STUCK_AFTER, "{:?} wait for ever", self.tasks.names());
            }
        }
        panic!("{:?} do not end", self.tasks.names());
    }
}

async fn flush(life: &Life, what: u32) -> PassEnd {
    match what {
        0..5 => {
            let end = life.flusher.pass(Scope::Due).await;
            if end == PassEnd::Failed {
                return end;
            }
            end.max(life.flusher.tend_journal().await)
        }
        5..7 => life.flusher.pass(Scope::Everything).await,
        7 => life.flusher.persist().await,
        8 => life.flusher.checkpoint().await,
        _ => life.flusher.tend_journal().await,
    }
}
