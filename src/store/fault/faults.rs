//! The handle by which a test makes a fault store fail, and the plan that it writes.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::{sync::watch, task::yield_now};

use crate::{model::Key, store::StoreError};

use super::tally::{Call, Counts, Tally};

/// Controls one [`FaultStore`](super::FaultStore) and watches it. Clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    // Never held across an await: a call takes what the plan says for it and lets go.
    plan: Arc<Mutex<Plan>>,
    tally: Arc<watch::Sender<Tally>>,
}

#[derive(Debug, Default)]
struct Plan {
    failures: Vec<Failure>,
    holds: Vec<Hold>,
    delays: Vec<Delay>,
    failing_keys: BTreeSet<Key>,
    damaged_keys: BTreeSet<Key>,
    commits_until_stop: Option<u64>,
    stopped: bool,
}

#[derive(Debug)]
struct Failure {
    call: Call,
    left: u64,
    error: StoreError,
}

#[derive(Debug)]
struct Hold {
    call: Call,
    moment: Moment,
    /// `None` for any number.
    left: Option<u64>,
    open: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Delay {
    call: Call,
    yields: u32,
}

/// Where a call waits while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The store beneath has not heard of it.
    Before,
    /// It is done, but nobody knows: a load has read and gets old, a commit is written and
    /// unconfirmed.
    After,
}

/// Holds calls until it is opened or dropped.
#[derive(Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
}

impl Gate {
    /// Lets everything pass that waits here, and everything that would have.
    pub fn open(self) {
        self.open.send_replace(true);
    }
}

impl Faults {
    /// The next `count` calls of this kind fail with `error`, before anything is done.
    pub fn fail_next(&self, call: Call, count: u64, error: StoreError) {
        self.plan.lock().failures.push(Failure { call, left: count, error });
    }

    /// From now on rows of these keys are left out of commits and reported as failed.
    pub fn fail_keys(&self, keys: impl IntoIterator<Item = Key>) {
        self.plan.lock().failing_keys.extend(keys);
    }

    /// From now on rows of these keys are damaged for who loads several, or scans past damage.
    pub fn damage_keys(&self, keys: impl IntoIterator<Item = Key>) {
        self.plan.lock().damaged_keys.extend(keys);
    }

    pub(super) fn is_damaged(&self, key: &Key) -> bool {
        self.plan.lock().damaged_keys.contains(key)
    }

    /// Everything that was to fail works again. Gates stay, and so does the end.
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        plan.failures.clear();
        plan.failing_keys.clear();
        plan.damaged_keys.clear();
    }

    /// Holds every call of this kind until the gate opens.
    pub fn hold(&self, call: Call, moment: Moment) -> Gate {
        self.hold_some(call, moment, None)
    }

    /// Holds the next call of this kind until the gate opens; those after it pass.
    pub fn hold_next(&self, call: Call, moment: Moment) -> Gate {
        self.hold_some(call, moment, Some(1))
    }

    fn hold_some(&self, call: Call, moment: Moment, left: Option<u64>) -> Gate {
        let (sender, open) = watch::channel(false);
        self.plan.lock().holds.push(Hold { call, moment, left, open });
        Gate { open: sender }
    }

    /// Each call of this kind lets other tasks run this many times before it does anything.
    pub fn delay(&self, call: Call, yields: u32) {
        let mut plan = self.plan.lock();
        plan.delays.retain(|delay| delay.call != call);
        plan.delays.push(Delay { call, yields });
    }

    /// At the `nth` commit from now, the first being 1, the store stops for good: neither that
    /// commit nor any later call does anything but fail, as if the machine had gone.
    pub fn stop_at_commit(&self, nth: u64) {
        self.plan.lock().commits_until_stop = Some(nth);
    }

    /// What was asked of the store until now.
    pub fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Waits until the counts are as wanted.
    pub async fn until(&self, wanted: impl FnMut(&Tally) -> bool) {
        let mut tally = self.tally.subscribe();
        let waited = tally.wait_for(wanted).await;
        // It cannot: the sender lives in `self`.
        debug_assert!(waited.is_ok(), "the tally ended");
    }

    fn count(&self, call: Call, count: impl FnOnce(&mut Counts)) {
        self.tally.send_modify(|tally| count(tally.counts(call)));
    }

    pub(super) fn begin(&self, call: Call) -> Begun<'_> {
        self.count(call, |counts| counts.begun += 1);
        Begun { faults: self, call }
    }

    pub(super) fn count_loads(&self, keys: &[Key]) {
        self.tally.send_modify(|tally| tally.count_loads(keys));
    }

    pub(super) fn count_writes(&self, keys: &[Key]) {
        self.tally.send_modify(|tally| tally.count_writes(keys));
    }

    pub(super) fn is_failing(&self, key: &Key) -> bool {
        self.plan.lock().failing_keys.contains(key)
    }

    pub(super) async fn dawdle(&self, call: Call) {
        let yields = self.plan.lock().yields(call);
        for _ in 0..yields {
            yield_now().await;
        }
    }

    pub(super) async fn wait_at(&self, call: Call, moment: Moment) {
        let Some(mut open) = self.plan.lock().take_hold(call, moment) else { return };
        self.count(call, |counts| counts.held += 1);
        let _held = Held { faults: self, call };
        // A gate that was dropped is open.
        open.wait_for(|open| *open).await.ok();
    }

    pub(super) fn check(&self, call: Call) -> Result<(), StoreError> {
        self.plan.lock().check(call)
    }
}

impl Plan {
    fn yields(&self, call: Call) -> u32 {
        self.delays.iter().find(|delay| delay.call == call).map_or(0, |delay| delay.yields)
    }

    fn take_hold(&mut self, call: Call, moment: Moment) -> Option<watch::Receiver<bool>> {
        // Gates that are open or gone hold nothing.
        self.holds.retain(|hold| !*hold.open.borrow() && hold.open.has_changed().is_ok());
        let holds =
            |hold: &Hold| hold.call == call && hold.moment == moment && hold.left != Some(0);
        let hold = self.holds.iter_mut().find(|hold| holds(hold))?;
        if let Some(left) = &mut hold.left {
            *left -= 1;
        }
        Some(hold.open.clone())
    }

    fn check(&mut self, call: Call) -> Result<(), StoreError> {
        if call == Call::Commit {
            self.approach_stop();
        }
        if self.stopped {
            return Err(StoreError::Unavailable("it has stopped for good".to_owned()));
        }
        let due = |failure: &&mut Failure| failure.call == call && failure.left > 0;
        let Some(failure) = self.failures.iter_mut().find(due) else { return Ok(()) };
        failure.left -= 1;
        Err(failure.error.clone())
    }

    fn approach_stop(&mut self) {
        if let Some(left) = &mut self.commits_until_stop {
            *left = left.saturating_sub(1);
            self.stopped |= *left == 0;
        }
    }
}

/// Counts a call as ended however it ends: answered, failed, or dropped.
pub(super) struct Begun<'a> {
    faults: &'a Faults,
    call: Call,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.faults.count(self.call, |counts| counts.ended += 1);
    }
}

struct Held<'a> {
    faults: &'a Faults,
    call: Call,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.faults.count(self.call, |counts| counts.held -= 1);
    }
}
