//! The scheduler: one thread that draws, step by step, what happens next.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    clock::{Clock, ManualTime},
    journal::SimulatedDisk,
    metrics::Metrics,
    model::Cause,
    store::MemoryStore,
};
use tokio::task::AbortHandle;

use crate::{
    answers::Answers,
    calls::{Answer, Arrived, Calls},
    device::Device,
    lossy_store::LossyStore,
    node::{Ground, Node},
    plan::{Act, Plan},
    tally::Tally,
    trace::Trace,
};

/// When every run begins, in microseconds since the Unix epoch.
const START_US: u64 = 1_700_000_000_000_000;
/// Turns in which streams that were given up end.
const FEW_TURNS: u32 = 40;
/// Behind a jump the clock's ceiling is raised and tombstones expire.
const EXPIRY_MS: u64 = 61_000;

/// Everything of one run.
pub struct World {
    pub plan: Plan,
    pub random: StdRng,
    pub ground: Ground,
    pub node: Option<Node>,
    pub devices: Vec<Device>,
    pub answers: Answers,
    pub trace: Trace,
    pub tally: Tally,
    /// A user was deleted, or tombstones may have expired.
    pub may_resync: bool,
    calls: Calls,
    arrived: Arrived,
    under_way: Vec<AbortHandle>,
}

impl World {
    pub fn new(seed: u64, metrics: &Arc<Metrics>, trace: Trace) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let plan = Plan::draw(seed, &mut random);
        let ground = Ground {
            disk: SimulatedDisk::default(),
            memory: MemoryStore::new(),
            lossy: LossyStore::new(),
            time: ManualTime::starting_at(START_US),
            metrics: Arc::clone(metrics),
        };
        let devices = (0..plan.devices).map(|_| Device::new(plan.users, trace.clone())).collect();
        Self {
            plan,
            random,
            ground,
            node: None,
            devices,
            answers: Answers::default(),
            trace,
            tally: Tally::default(),
            may_resync: false,
            calls: Calls::default(),
            arrived: Arrived::default(),
            under_way: Vec::new(),
        }
    }

    /// The whole run; what it came to.
    pub fn run(mut self) -> Tally {
        self.start();
        for _ in 0..self.plan.steps {
            self.step();
        }
        self.settle();
        self.devices.iter_mut().for_each(Device::hang_up);
        (0..FEW_TURNS).for_each(|_| self.node().turn());
        // Nobody is told of these.
        (0..self.plan.calls_max).for_each(|_| self.call());
        self.rest();
        let watch = &self.ground.metrics.watch;
        let left = [watch.streams.get(), watch.users.get(), watch.waiting.get()];
        assert_eq!(left, [0; 3], "streams, users and changes that nobody waits for");
        self.tally
    }

    fn start(&mut self) {
        self.node = Some(self.ground.start(&self.plan, &mut self.random));
        self.answers.restart();
    }

    pub fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("between steps a process serves")
    }

    fn step(&mut self) {
        let act = self.plan.act(&mut self.random);
        self.trace.note(|| format!("{act:?}"));
        let device = self.random.random_range(0..self.devices.len());
        let few = self.random.random_range(1..6);
        match act {
            Act::Turn => (0..few).for_each(|_| self.node().turn()),
            Act::Write => drop(self.node().write()),
            Act::Call => self.call(),
            Act::Cancel => self.cancel(),
            Act::Connect => self.connect(device),
            Act::Disconnect => self.disconnect(device),
            Act::Read => {
                if let Some(stream) = &self.devices[device].stream {
                    stream.read(few);
                }
            }
            Act::Take => self.devices[device].take(few, &mut self.answers, &mut self.tally),
            Act::List => {
                let node = self.node.as_ref().expect("it serves");
                self.devices[device].list(node, &mut self.random);
            }
            Act::Flush => self.node().flush(),
            Act::Tick => self.tick(),
            Act::SetClock => self.set_clock(),
            Act::Restart => self.restart(),
            Act::Settle => self.settle(),
        }
        self.hear();
    }

    fn call(&mut self) {
        self.under_way.retain(|call| !call.is_finished());
        if self.under_way.len() >= self.plan.calls_max {
            return;
        }
        let call = self.calls.draw(&mut self.random, &self.plan);
        self.trace.note(|| format!("{call:?}"));
        if call.user_deleted() {
            self.allow_resync();
        }
        let (engine, arrived) = (Arc::clone(&self.node().engine), Arc::clone(&self.arrived));
        let call = self.node().spawn(async move {
            let answers = call.make(&engine).await;
            arrived.lock().push(answers);
        });
        self.under_way.push(call);
    }

    /// Takes in what callers were answered.
    pub fn hear(&mut self) {
        let arrived: Vec<Vec<Answer>> = std::mem::take(&mut *self.arrived.lock());
        for (key, operation, result) in arrived.into_iter().flatten() {
            let Ok(done) = result else { continue };
            if !done.changed {
                self.answers.note(key, done.view, None);
                continue;
            }
            let cause = Cause::from(&operation);
            self.tally.changes += 1;
            self.trace.note(|| format!("{key:?} {cause:?} {}", done.view.version));
            self.answers.changed(key, done.view, cause);
            if cause == Cause::Ack {
                self.calls.keep_undo(key, &done);
            }
        }
    }

    fn cancel(&mut self) {
        if !self.under_way.is_empty() {
            let index = self.random.random_range(0..self.under_way.len());
            self.under_way.swap_remove(index).abort();
            self.answers.cut();
        }
    }

    /// Whether calls wait for their answers.
    pub fn is_calling(&self) -> bool {
        self.under_way.iter().any(|call| !call.is_finished())
    }

    pub fn connect(&mut self, device: usize) {
        let node = self.node.as_ref().expect("it serves");
        self.devices[device].connect(node, &mut self.random, self.may_resync);
    }

    fn disconnect(&mut self, device: usize) {
        if let Some(stream) = &self.devices[device].stream {
            stream.cut();
        }
    }

    fn allow_resync(&mut self) {
        self.may_resync = true;
        let streams = self.devices.iter_mut().filter_map(|device| device.stream.as_mut());
        let orders = streams.flat_map(|stream| stream.orders.values_mut());
        orders.for_each(|order| order.allow_resync());
    }

    pub fn tick(&mut self) {
        let ms = self.random.random_range(0..300);
        self.ground.time.advance_ms(ms);
        self.node().advance(ms);
    }

    /// By up to more than tombstones are kept.
    fn set_clock(&mut self) {
        let now_us = Clock::manual(Arc::clone(&self.ground.time)).wall_us();
        let ttl_us = self.plan.flush.tombstone_ttl_ms * 1_000;
        let jump_us = self.random.random_range(0..ttl_us * 3 / 2);
        let back = self.random.random_bool(0.5);
        let to_us = if back { now_us - jump_us } else { now_us + jump_us };
        self.trace.note(|| format!("clock set to {to_us}"));
        self.ground.time.set_wall_us(to_us);
        self.allow_resync();
        if self.random.random_bool(0.5) {
            self.node().advance(EXPIRY_MS);
        }
    }

    /// Whatever was answered or told is there afterwards: what only memory has goes to the store
    /// first, and what only the journal has survives a kill, with the power or without.
    fn restart(&mut self) {
        if self.plan.journal.is_none() || self.random.random_bool(0.2) {
            self.rest();
            self.flush_all();
            self.tally.stops += 1;
            self.end(Node::close);
        } else {
            self.tally.kills += 1;
            self.end(Node::kill);
            if self.random.random_bool(0.5) {
                self.tally.power_cuts += 1;
                self.ground.disk = self.ground.disk.power_cut(&mut self.random);
                if self.plan.lossy {
                    self.ground.lossy.power_cut(&mut self.random);
                }
            }
        }
        self.start();
    }

    fn end(&mut self, end: impl FnOnce(Node)) {
        self.hear();
        self.devices.iter_mut().for_each(Device::cut);
        self.under_way.clear();
        end(self.node.take().expect("it serves"));
        // What was on its way to a caller may have arrived or not; it did.
        self.hear();
        self.trace.note(|| "ended".to_owned());
    }
}
