//! The verbs: a hit is answered from memory, a miss is loaded once for all who ask, and a list is
//! the store overlaid with what it does not have yet.

mod ask;
mod breaker;
mod bulk_ack;
mod delete_user;
mod dump;
mod durability;
mod error;
mod import;
mod list;
mod load;
mod many;
mod page_token;
mod summary;
mod turn;
mod user_scan;
mod verify;
mod watch;

use std::{sync::Arc, time::Duration};

pub use crate::cache::{Access, Arrival, Done};
pub use dump::{DUMP_STEP_ROWS, Stored};
pub use durability::Durability;
pub use error::Error;
pub use import::ImportCount;
pub use list::{ListPage, ListQuery};
pub use many::{ACCESSES_PER_TURN, Made, Order};
pub use page_token::PageToken;
pub use summary::Summary;
pub use turn::leave_turn;
pub use verify::{Checked, Difference, DifferenceKind, Verify};
pub use watch::{CHANGE_BYTES, Event, WATCHED_USER_BYTES, Watch, WatchFrom, WatchTarget};

use breaker::Breaker;
use import::IMPORTS_MAX;
use load::Loader;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use watch::Pool;

use crate::{
    cache::{Cache, Outcome, Refusal},
    clock::Clock,
    flush::Rounds,
    metrics::Metrics,
    model::{Key, Sequence, Update, Version},
    store::{Store, StoreError},
};

/// How long a call waits for a place among the dirty states while the store takes them.
const DIRTY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Bounds of the engine.
#[derive(Clone)]
pub struct EngineSettings {
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Loads that the store sees at once.
    pub concurrent_loads: usize,
    /// Milliseconds that tombstones are kept: older versions get a full set, no delta.
    pub tombstone_ttl_ms: u64,
    /// Users that are watched at once; one counts once for each watch.
    pub watched_users: usize,
    /// Changes that wait for those who watch and do not read: of all, and of one.
    pub waiting_changes: usize,
    /// As `waiting_changes`, of one watch.
    pub waiting_changes_per_watch: usize,
}

/// Everything that a verb needs. Cheap to share behind an `Arc`.
pub struct Engine {
    cache: Arc<Cache>,
    store: Arc<dyn Store>,
    clock: Clock,
    rounds: Rounds,
    loader: Loader,
    breaker: Arc<Breaker>,
    watches: Arc<Pool>,
    /// Turns of those who load a dump, and of the one who checks the server.
    imports: Arc<Semaphore>,
    verifies: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    settings: EngineSettings,
}

impl Engine {
    /// An engine over a cache and its store. `rounds` are those of the flusher between them.
    pub fn new(
        cache: Arc<Cache>,
        store: Arc<dyn Store>,
        clock: Clock,
        rounds: Rounds,
        metrics: Arc<Metrics>,
        settings: EngineSettings,
    ) -> Self {
        let breaker = Arc::new(Breaker::default());
        let loader = Loader::new(
            Arc::clone(&cache),
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&metrics),
            Arc::clone(&breaker),
            &settings,
        );
        let watches = Arc::new(Pool::new(
            settings.watched_users,
            settings.waiting_changes,
            settings.waiting_changes_per_watch,
            metrics.watch.waiting.clone(),
        ));
        let imports = Arc::new(Semaphore::new(IMPORTS_MAX));
        let verifies = Arc::new(Semaphore::new(1));
        Self {
            cache,
            store,
            clock,
            rounds,
            loader,
            breaker,
            watches,
            imports,
            verifies,
            metrics,
            settings,
        }
    }

    /// Does an update on one state.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a guard, else that it could not be done or not be made durable.
    pub async fn update(&self, key: Key, update: Update) -> Result<Done, Error> {
        self.access_one(key, Access::Update(update)).await
    }

    /// The state; of version 0, or a tombstone, where there is none.
    ///
    /// # Errors
    /// That it could not be loaded.
    pub async fn read(&self, key: Key) -> Result<Done, Error> {
        self.access_one(key, Access::Read).await
    }

    /// Does what is asked of one state, and shows it once a crash cannot take it back.
    async fn access_one(&self, key: Key, access: Access) -> Result<Done, Error> {
        let outcome = match self.access(&key, &access).await {
            Ok(Some(outcome)) if outcome != Err(Refusal::DirtyLimit) => Ok(self.noted(outcome)),
            // Boxed: a call has room in its future for whatever it may wait for, and is moved a few
            // times on its way; most never wait for this.
            Ok(present) => Box::pin(self.attempt_from(present, key, access, None)).await,
            Err(error) => Err(error),
        };
        self.counted(match outcome {
            Ok(outcome) => self.when_durable(key, concluded(outcome)).await,
            Err(error) => Err(error),
        })
    }

    /// The same result; counted where a bound refused it.
    fn counted(&self, result: Result<Done, Error>) -> Result<Done, Error> {
        match result {
            Err(Error::DirtyLimit) => self.metrics.rejections.dirty_limit.inc(),
            Err(Error::DiskFull(_)) => self.metrics.rejections.disk_full.inc(),
            Err(Error::TooManyLoads) => self.metrics.rejections.too_many_requests.inc(),
            _ => {}
        }
        result
    }

    /// Does what is asked of one state, waiting for a place among the dirty ones while the store
    /// takes them: until `deadline`, or for [`DIRTY_WAIT_MAX`] from the first refusal on.
    async fn attempt(
        &self,
        key: Key,
        access: Access,
        deadline: Option<Instant>,
    ) -> Result<Outcome, Error> {
        let present = self.access(&key, &access).await?;
        self.attempt_from(present, key, access, deadline).await
    }

    /// As [`Self::attempt`], where memory had `present` the first time.
    async fn attempt_from(
        &self,
        mut present: Option<Outcome>,
        key: Key,
        access: Access,
        mut deadline: Option<Instant>,
    ) -> Result<Outcome, Error> {
        let mut place_freed = async || {
            // Most never ask what time it is.
            let latest = *deadline.get_or_insert_with(|| Instant::now() + DIRTY_WAIT_MAX);
            self.place_freed(latest).await
        };
        loop {
            let outcome = match present {
                Some(outcome) => outcome,
                None => self.loader.access(key, access).await?,
            };
            if outcome != Err(Refusal::DirtyLimit) || !place_freed().await {
                return Ok(self.noted(outcome));
            }
            present = self.access(&key, &access).await?;
        }
    }

    /// The same outcome; after a change the flusher looks now where dirty places become few.
    fn noted(&self, outcome: Outcome) -> Outcome {
        if outcome.is_ok_and(|done| done.changed) {
            self.nudge_if_pressed();
        }
        outcome
    }

    /// Does what is asked of a state in memory; `None` where it is not there.
    async fn access(&self, key: &Key, access: &Access) -> Result<Option<Outcome>, Error> {
        let _room = self.settings.durability.room(access.records()).await?;
        Ok(self.cache.access(key, access, &self.clock.now()))
    }

    /// Waits for the flusher where that is likely to free places; whether it did.
    async fn place_freed(&self, deadline: Instant) -> bool {
        if self.rounds.is_failing() || Instant::now() >= deadline {
            return false;
        }
        match timeout_at(deadline, self.rounds.flushed()).await {
            Ok(Ok(())) => true,
            // Some rows may have failed and the others have left their places.
            Ok(Err(_)) => self.cache.dirty() < self.cache.sizing().dirty_limit,
            Err(_) => false,
        }
    }

    /// After a change: has the flusher look now where dirty places become few.
    fn nudge_if_pressed(&self) {
        if self.cache.dirty() >= self.cache.sizing().dirty_limit.div_ceil(2) {
            self.rounds.nudge();
        }
    }

    /// Versions older than this one may miss tombstones that have expired.
    fn delta_horizon(&self) -> Version {
        let ttl_us = self.settings.tombstone_ttl_ms.saturating_mul(1000);
        Version::from_micros(self.clock.wall_us().saturating_sub(ttl_us))
    }
}

/// A result with the record of what it was derived from, where the store does not have that.
struct Concluded<T> {
    result: Result<T, Error>,
    unflushed: Option<Sequence>,
}

fn concluded(outcome: Outcome) -> Concluded<Done> {
    let unflushed = unflushed(&outcome);
    let result = outcome.map_err(|refusal| match refusal {
        Refusal::Mismatch { view, .. } => Error::Mismatch(view),
        Refusal::DirtyLimit => Error::DirtyLimit,
        Refusal::Closed => Error::Draining,
        Refusal::ClockCeiling => {
            let why = "the clock's ceiling could not be raised for long".to_owned();
            Error::Store(StoreError::Unavailable(why))
        }
    });
    Concluded { result, unflushed }
}

/// The record of what an outcome was derived from, where the store does not have that.
fn unflushed(outcome: &Outcome) -> Option<Sequence> {
    match outcome {
        Ok(done) => done.unflushed,
        Err(Refusal::Mismatch { unflushed, .. }) => *unflushed,
        Err(Refusal::DirtyLimit | Refusal::Closed | Refusal::ClockCeiling) => None,
    }
}
