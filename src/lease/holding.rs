//! A lease that is held: looked at by every call, renewed every second, let go at the end.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::{Mutex, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{error, info, warn};

use crate::{
    metrics::{LeaseMetrics, LeaseSnapshot, Renewal},
    model::Version,
    store::{LeaseRow, LeaseTable, StoreError},
};

use super::{
    BootClock, HELD_FOR, LOOK_EVERY, LeaseError, NotOwner, RENEW_EVERY, millis,
    settle::{Calls, Settled},
};

/// Swaps that one renewal tries. The second is for one whose answer was lost, the third for the
/// case that it was done after all, behind the second's back.
const TRIES: u32 = 3;

/// The lease of this service. Clones are handles of the same.
#[derive(Clone)]
pub struct Lease {
    shared: Arc<Shared>,
}

struct Shared {
    table: Arc<dyn LeaseTable>,
    clock: BootClock,
    metrics: LeaseMetrics,
    owner: String,
    epoch: u64,
    /// In milliseconds of the clock; 0 once `ended` is set. Written only under the lock of `ended`.
    deadline_ms: AtomicU64,
    /// The ceiling that is in the row for certain, in microseconds. It never falls.
    ceiling_us: AtomicU64,
    /// Why it will never be held again; set once.
    ended: watch::Sender<Option<NotOwner>>,
    // Held across calls of the database, so that the row's writes come one after the other. Nobody
    // who serves waits for it.
    row: Mutex<Row>,
}

/// The row as its owner knows it.
struct Row {
    /// As last confirmed. Where a later swap has an unknown outcome, it may be behind.
    known: LeaseRow,
    /// The last beat that a swap was tried with, done or not (L1).
    tried_beat: u64,
}

/// What [`Lease::begin`] begins with.
pub(super) struct Begin {
    pub table: Arc<dyn LeaseTable>,
    pub clock: BootClock,
    pub metrics: LeaseMetrics,
    /// Confirmed by a swap.
    pub row: LeaseRow,
    /// Before that swap was sent.
    pub sent_ms: u64,
}

impl Row {
    /// What to swap in next. It counts as tried from here on, however the swap goes.
    fn next(&mut self, ceiling: Version) -> LeaseRow {
        self.tried_beat += 1;
        let ceiling = ceiling.max(self.known.ceiling);
        LeaseRow { beat: self.tried_beat, ceiling, ..self.known.clone() }
    }

    /// Whether `row` was written by a swap of this very process. A beat it never tried is that of a
    /// double: of a machine that was restored from an image, say, in which this process lives too.
    fn is_mine(&self, row: &LeaseRow) -> bool {
        row.incarnation == self.known.incarnation
            && row.epoch == self.known.epoch
            && row.beat <= self.tried_beat
    }
}

impl Lease {
    pub(super) fn begin(begin: Begin) -> Self {
        let Begin { table, clock, metrics, row, sent_ms } = begin;
        Self {
            shared: Arc::new(Shared {
                table,
                clock,
                metrics,
                owner: row.owner.clone(),
                epoch: row.epoch,
                deadline_ms: AtomicU64::new(sent_ms + millis(HELD_FOR)),
                ceiling_us: AtomicU64::new(row.ceiling.as_micros()),
                ended: watch::Sender::new(None),
                row: Mutex::new(Row { tried_beat: row.beat, known: row }),
            }),
        }
    }

    /// Whether this service owns the keyspace at this moment: to be asked when a call is admitted,
    /// and again when its change is durable and nothing but the answer is left. It takes no lock.
    ///
    /// # Errors
    /// Where it does not, or not for certain: nothing may be served then.
    #[inline]
    pub fn check(&self) -> Result<(), NotOwner> {
        // In this order: whoever is frozen between the two finds that it is late.
        let deadline_ms = self.shared.deadline_ms.load(Ordering::Acquire);
        if self.shared.clock.now_ms() < deadline_ms {
            return Ok(());
        }
        Err(self.why_not())
    }

    #[cold]
    fn why_not(&self) -> NotOwner {
        self.shared.ended.borrow().clone().unwrap_or(NotOwner::Lapsed)
    }

    /// What this service calls itself.
    pub fn owner(&self) -> &str {
        &self.shared.owner
    }

    /// Which ownership this is, counted over all owners.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// The ceiling in the row: no owner until now, this one included, has given out a version above
    /// it. At first it is that of the owner before: this one's versions begin above it (L4).
    pub fn ceiling(&self) -> Version {
        Version::from_micros(self.shared.ceiling_us.load(Ordering::Acquire))
    }

    /// What a scrape shows.
    pub fn snapshot(&self) -> LeaseSnapshot {
        let deadline_ms = self.shared.deadline_ms.load(Ordering::Acquire);
        let left_ms = deadline_ms.saturating_sub(self.shared.clock.now_ms());
        LeaseSnapshot {
            held: left_ms > 0,
            epoch: self.shared.epoch,
            deadline_seconds: left_ms as f64 / 1000.0,
        }
    }

    /// Returns once the lease is another's for good, with the reason: this service has to end.
    /// Never returns where it was released.
    pub async fn lost(&self) -> NotOwner {
        let mut ended = self.shared.ended.subscribe();
        let is_lost = |ended: &Option<NotOwner>| {
            ended.as_ref().is_some_and(|reason| *reason != NotOwner::Released)
        };
        let reason = ended.wait_for(is_lost).await.map(|reason| reason.clone());
        reason.ok().flatten().expect("self holds the sender, and waited for a reason")
    }

    /// Tells `told` whether the lease is held, at first and whenever that changes, some tenths of a
    /// second late at most, until it is lost or released.
    ///
    /// It looks instead of sleeping up to the deadline: the timers of a process stand still in a
    /// suspend, in which the lease's clock goes on.
    pub async fn follow(self, told: impl Fn(bool)) {
        let mut ended = self.shared.ended.subscribe();
        let mut last = None;
        while ended.borrow().is_none() {
            let held = self.check().is_ok();
            if last.replace(held) != Some(held) {
                told(held);
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                _ = ended.changed() => {}
            }
        }
        told(false);
    }

    /// Renews the lease every second, until it is lost or released. To be spawned as soon as it is
    /// acquired, before anything that takes long.
    ///
    /// Where the database cannot be reached the lease lapses, and this goes on trying. If it then
    /// finds the row as it left it, nobody else had the lease: it is held again, as if nothing had
    /// happened.
    pub async fn keep(self) {
        let mut ticks = interval(RENEW_EVERY);
        // After a call that took long the next beat is due at once, but not all that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut told_failing = false;
        let mut told_lapsed = false;
        loop {
            ticks.tick().await;
            match self.renew().await {
                Ok(()) => {
                    if told_lapsed {
                        info!("the lease is held again; nobody else had it meanwhile");
                    }
                    (told_failing, told_lapsed) = (false, false);
                }
                Err(LeaseError::NotOwner(reason)) => return tell_end(&reason),
                Err(LeaseError::Store(error)) => {
                    if !told_failing {
                        warn!(%error, "the lease could not be renewed; trying again");
                    }
                    if !told_lapsed && self.check().is_err() {
                        warn!("the lease has lapsed: nothing is served until it is renewed");
                        told_lapsed = true;
                    }
                    told_failing = true;
                }
            }
        }
    }

    pub(super) async fn renew(&self) -> Result<(), LeaseError> {
        let mut row = self.shared.row.lock().await;
        self.beat(&mut row, Version::ZERO).await
    }

    /// Raises the ceiling in the row, durably before it returns; a lower one changes nothing. It
    /// renews the lease as well, and may be tried while that has lapsed.
    ///
    /// # Errors
    /// Where the lease is lost, or the database did not confirm it: the ceiling may then rise all
    /// the same, later, which does no harm.
    pub async fn raise_ceiling(&self, ceiling: Version) -> Result<(), LeaseError> {
        let mut row = self.shared.row.lock().await;
        if ceiling <= row.known.ceiling {
            return Ok(());
        }
        self.beat(&mut row, ceiling).await
    }

    /// Writes a further beat with at least this ceiling.
    async fn beat(&self, row: &mut Row, ceiling: Version) -> Result<(), LeaseError> {
        let written = self.try_beat(row, ceiling).await;
        self.shared.metrics.renewal(match &written {
            Ok(()) => Renewal::Renewed,
            Err(LeaseError::Store(_)) => Renewal::Failed,
            // One that was overtaken by the release is no loss.
            Err(LeaseError::NotOwner(NotOwner::Released)) => return written,
            Err(LeaseError::NotOwner(_)) => Renewal::Lost,
        });
        written
    }

    async fn try_beat(&self, row: &mut Row, ceiling: Version) -> Result<(), LeaseError> {
        for _ in 0..TRIES {
            if let Some(ended) = self.shared.ended.borrow().clone() {
                return Err(ended.into());
            }
            let new = row.next(ceiling);
            // Before the send (L2).
            let sent_ms = self.shared.clock.now_ms();
            match self.swap(row, &new).await? {
                Settled::Done => {
                    self.know(row, new);
                    self.extend(sent_ms);
                    return Ok(());
                }
                Settled::NotYet => {}
                // An earlier swap, whose outcome was unknown, was done after all. Nobody knows by
                // which send, so it gives no time (L2): that needs a further beat.
                Settled::Other(Some(found)) if row.is_mine(&found) => self.know(row, found),
                Settled::Other(found) => {
                    let reason = NotOwner::finding(found);
                    self.end(reason.clone());
                    return Err(reason.into());
                }
            }
        }
        let vain = "the row of the lease could not be swapped, again and again";
        Err(StoreError::Unavailable(vain.to_owned()).into())
    }

    async fn swap(&self, row: &Row, new: &LeaseRow) -> Result<Settled, StoreError> {
        let calls = Calls { table: self.shared.table.as_ref(), metrics: &self.shared.metrics };
        calls.swap(&Some(row.known.clone()), new).await
    }

    fn know(&self, row: &mut Row, found: LeaseRow) {
        self.shared.ceiling_us.fetch_max(found.ceiling.as_micros(), Ordering::AcqRel);
        row.known = found;
    }

    /// Unless it has ended meanwhile: then nothing brings it back.
    fn extend(&self, sent_ms: u64) {
        self.shared.ended.send_if_modified(|ended| {
            if ended.is_none() {
                let deadline_ms = sent_ms + millis(HELD_FOR);
                self.shared.deadline_ms.store(deadline_ms, Ordering::Release);
            }
            false
        });
    }

    /// From here on [`Lease::check`] fails. False where it had ended before.
    fn end(&self, reason: NotOwner) -> bool {
        self.shared.ended.send_if_modified(|ended| {
            if ended.is_some() {
                return false;
            }
            self.shared.deadline_ms.store(0, Ordering::Release);
            *ended = Some(reason);
            true
        })
    }

    /// Lets go of the lease, so that who waits for it need not wait for the beat to stand still. To
    /// be called when nothing is served any more and everything is flushed; from here on
    /// [`Lease::check`] fails. Where the database does not take it, that is only logged; it may
    /// then last some ten seconds, and be dropped at any time.
    pub async fn release(&self) {
        // Before anything is sent: who sees the row released takes it at once.
        if !self.end(NotOwner::Released) {
            return;
        }
        // Behind a renewal that is under way, which finds that it has ended.
        let mut row = self.shared.row.lock().await;
        for _ in 0..TRIES {
            let new = LeaseRow { owner: String::new(), ..row.next(Version::ZERO) };
            match self.swap(&row, &new).await {
                Ok(Settled::Done) => {
                    self.know(&mut row, new);
                    return info!(epoch = self.epoch(), "the lease is released");
                }
                Ok(Settled::NotYet) => {}
                Ok(Settled::Other(Some(found))) if row.is_mine(&found) => {
                    let released = found.is_released();
                    self.know(&mut row, found);
                    if released {
                        return info!(epoch = self.epoch(), "the lease is released");
                    }
                }
                Ok(Settled::Other(found)) => {
                    let reason = NotOwner::finding(found);
                    return warn!(%reason, "the lease was not there any more to be released");
                }
                Err(error) => warn!(%error, "the lease could not be released"),
            }
        }
        warn!("the lease was not released: the next owner has to wait until the beat stands still");
    }
}

fn tell_end(reason: &NotOwner) {
    if *reason != NotOwner::Released {
        error!(%reason, "the lease is lost");
    }
}
