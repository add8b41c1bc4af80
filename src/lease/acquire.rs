//! Taking the lease: at once where nobody has it, from a dead owner after watching it, never from
//! one that is alive.

use std::sync::Arc;

use tokio::{
    pin, select,
    sync::watch,
    time::{Duration, sleep},
};
use tracing::{info, warn};

use crate::{
    metrics::LeaseMetrics,
    model::Version,
    store::{LeaseRow, LeaseTable, StoreError},
};

use super::{
    AcquireError, BootClock, GIVE_UP_AFTER, Lease, POLL_EVERY, TAKE_OVER_AFTER,
    holding::Begin,
    millis,
    settle::{Calls, Settled},
};

/// Who wants the lease, and how much.
#[derive(Clone, Debug)]
pub struct Acquire {
    owner: String,
    standby: bool,
    rival: watch::Sender<bool>,
}

impl Acquire {
    /// For who calls itself `owner`, for people: host and port, say; two of one name are still two.
    /// A `standby` waits for as long as somebody has it, in place of being refused.
    pub fn new(owner: impl Into<String>, standby: bool) -> Self {
        Self { owner: owner.into(), standby, rival: watch::Sender::new(false) }
    }

    /// Whether another was seen to have it, and to be alive.
    pub fn rival(&self) -> watch::Receiver<bool> {
        self.rival.subscribe()
    }
}

impl Lease {
    /// Takes the lease. What another's owner left in it, its ceiling above all, stays.
    ///
    /// A dead owner is told from a living one by watching its beat. So a start after a crash takes
    /// [`TAKE_OVER_AFTER`], and a start beside a living owner is refused within some seconds.
    ///
    /// It may be dropped at any time. A swap that was under way may then be done all the same, and
    /// leave a row of an owner that is none: the next one has to watch it.
    ///
    /// # Errors
    /// Where another owner is alive, and this is no standby. Where the row cannot be understood,
    /// or the database does not answer for [`GIVE_UP_AFTER`]; a standby waits for it.
    pub async fn acquire(
        table: Arc<dyn LeaseTable>,
        clock: BootClock,
        metrics: LeaseMetrics,
        wish: Acquire,
    ) -> Result<Self, AcquireError> {
        Self::acquire_unless(table, clock, metrics, wish, std::future::pending()).await
    }

    /// As [`Self::acquire`], unless it is `asked` to end before the lease is there. It looks at
    /// that between two calls only: a lease that was just taken is returned, to be released. Only
    /// where the database answered neither a swap nor the look behind it may a row be left that
    /// nobody keeps; the next one then watches it for [`TAKE_OVER_AFTER`].
    ///
    /// # Errors
    /// As [`Self::acquire`], and [`AcquireError::GivenUp`].
    pub async fn acquire_unless(
        table: Arc<dyn LeaseTable>,
        clock: BootClock,
        metrics: LeaseMetrics,
        wish: Acquire,
        asked: impl Future<Output = ()>,
    ) -> Result<Self, AcquireError> {
        if wish.owner.is_empty() {
            return Err(AcquireError::Nameless);
        }
        let mut contender = Contender {
            // Fits a signed column, too.
            incarnation: rand::random_range(1..=i64::MAX.unsigned_abs()),
            table,
            clock,
            metrics,
            wish,
            tried_beat: 0,
            watched: None,
            silent_since_ms: None,
            told: None,
        };
        pin!(asked);
        loop {
            match contender.look().await? {
                Next::Hold(begin) => {
                    let (epoch, ceiling) = (begin.row.epoch, begin.row.ceiling);
                    info!(epoch, %ceiling, "the lease on the keyspace is taken");
                    return Ok(Self::begin(begin));
                }
                Next::Wait(pause) => select! {
                    () = sleep(pause) => {}
                    () = &mut asked => return Err(AcquireError::GivenUp),
                },
            }
        }
    }
}

/// Somebody who wants the lease.
struct Contender {
    table: Arc<dyn LeaseTable>,
    clock: BootClock,
    metrics: LeaseMetrics,
    wish: Acquire,
    incarnation: u64,
    /// The last beat that a swap was tried with (L1).
    tried_beat: u64,
    watched: Option<Watched>,
    /// The database has not answered since then.
    silent_since_ms: Option<u64>,
    /// The owner that was last told about: incarnation and epoch.
    told: Option<(u64, u64)>,
}

/// Another's row.
struct Watched {
    row: LeaseRow,
    /// When this very row was first received (L3).
    since_ms: u64,
    /// Before the last look at it was asked for: what is not in that look is younger.
    asked_ms: u64,
}

enum Next {
    Hold(Begin),
    Wait(Duration),
}

impl Contender {
    /// Looks at the row once, and takes it if it may.
    async fn look(&mut self) -> Result<Next, AcquireError> {
        let asked_ms = self.clock.now_ms();
        let row = match self.calls().read().await {
            Ok(row) => row,
            Err(error) => return self.bear(error),
        };
        self.silent_since_ms = None;
        match row {
            Some(row) if !row.is_released() && row.incarnation != self.incarnation => {
                self.watch(row, asked_ms).await
            }
            // Nobody's, or this one's own: a swap whose outcome was unknown was done.
            free => self.claim(free).await,
        }
    }

    /// Looks at a row of another's, as it was at `asked_ms` or later.
    async fn watch(&mut self, row: LeaseRow, asked_ms: u64) -> Result<Next, AcquireError> {
        let now_ms = self.clock.now_ms();
        let before = self.watched.as_mut().map(|watched| {
            let same = watched.row == row;
            (same, watched.since_ms, std::mem::replace(&mut watched.asked_ms, asked_ms))
        });
        match before {
            Some((true, since_ms, _)) => {
                let still_ms = now_ms.saturating_sub(since_ms);
                let left_ms = millis(TAKE_OVER_AFTER).saturating_sub(still_ms);
                if left_ms > 0 {
                    return Ok(Next::Wait(POLL_EVERY.min(Duration::from_millis(left_ms))));
                }
                let (owner, epoch) = (&row.owner, row.epoch);
                warn!(owner, epoch, still_ms, "the beat of the owner stands still: taking over");
                self.claim(Some(row)).await
            }
            Some((false, _, last_asked_ms)) if !self.wish.standby => Err(AcquireError::Held {
                owner: row.owner,
                epoch: row.epoch,
                fresh_ms: now_ms.saturating_sub(last_asked_ms),
            }),
            before => {
                self.tell(&row);
                if before.is_some() {
                    self.wish.rival.send_replace(true);
                }
                self.watched = Some(Watched { row, since_ms: now_ms, asked_ms });
                Ok(Next::Wait(POLL_EVERY))
            }
        }
    }

    /// Puts a row of its own in the place of `seen`.
    async fn claim(&mut self, seen: Option<LeaseRow>) -> Result<Next, AcquireError> {
        let new = self.row_after(seen.as_ref());
        // Before the send (L2).
        let sent_ms = self.clock.now_ms();
        match self.calls().swap(&seen, &new).await {
            Ok(Settled::Done) => Ok(Next::Hold(Begin {
                table: Arc::clone(&self.table),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                row: new,
                sent_ms,
            })),
            // Whatever the row is now, the next look judges it.
            Ok(Settled::NotYet | Settled::Other(_)) => Ok(Next::Wait(POLL_EVERY)),
            Err(error) => self.bear(error),
        }
    }

    /// The row to take `seen` over with. The ceiling stays what it was: this is the fence (L4).
    fn row_after(&mut self, seen: Option<&LeaseRow>) -> LeaseRow {
        self.tried_beat += 1;
        let epoch = match seen {
            // Its own, by a swap whose outcome was unknown: that began the epoch.
            Some(seen) if seen.incarnation == self.incarnation => seen.epoch,
            Some(seen) => seen.epoch + 1,
            None => 1,
        };
        LeaseRow {
            owner: self.wish.owner.clone(),
            incarnation: self.incarnation,
            beat: self.tried_beat,
            epoch,
            ceiling: seen.map_or(Version::ZERO, |seen| seen.ceiling),
        }
    }

    /// Goes on without an answer, as long as that makes sense. What was watched stays watched: two
    /// equal looks prove the same, however far they lie apart (L1).
    fn bear(&mut self, error: StoreError) -> Result<Next, AcquireError> {
        if !matches!(error, StoreError::Unavailable(_) | StoreError::Io(_)) {
            return Err(error.into());
        }
        let now_ms = self.clock.now_ms();
        let since_ms = match self.silent_since_ms {
            Some(since_ms) => since_ms,
            None => {
                warn!(%error, "the lease cannot be looked at; trying again");
                *self.silent_since_ms.insert(now_ms)
            }
        };
        if !self.wish.standby && now_ms.saturating_sub(since_ms) >= millis(GIVE_UP_AFTER) {
            return Err(error.into());
        }
        Ok(Next::Wait(POLL_EVERY))
    }

    fn calls(&self) -> Calls<'_> {
        Calls { table: self.table.as_ref(), metrics: &self.metrics }
    }

    /// Says who has the lease, once for each owner.
    fn tell(&mut self, row: &LeaseRow) {
        let who = Some((row.incarnation, row.epoch));
        if std::mem::replace(&mut self.told, who) == who {
            return;
        }
        let (owner, epoch) = (&row.owner, row.epoch);
        if self.wish.standby {
            info!(owner, epoch, "standing by: another has the lease");
        } else {
            info!(owner, epoch, "another has the lease; watching whether it is alive");
        }
    }
}
