//! `Watch`: what changed of some users since a version, then every change as it becomes durable.
//!
//! A user is registered with the cache first, which says up to which version it will tell nothing.
//! What is at or below that version comes from a scan, what is above it from the cache: no gap
//! between the two, and nothing twice.

mod catch_up;
mod charged;
mod event;
mod pool;
mod queue;

use std::{collections::HashMap, sync::Arc};

pub use event::Event;
pub(super) use pool::Pool;

use catch_up::CatchUp;
use charged::Charged;
use queue::{Overflow, Queue};

use super::{Durability, Engine, Error};
use crate::{
    cache::{Change, Watcher},
    metrics::WatchEnd,
    model::{Cause, UserId, Version},
    sabotage::{self, Fault},
};

/// Changes that are taken out of the queue at a time, at most.
const CHANGES_PER_TURN_MAX: usize = 64;

/// Memory of one change that waits: queues grow by doubling.
pub const CHANGE_BYTES: u64 = 2 * size_of::<Change>() as u64;
/// Memory of one user that one stream watches: its place in the cache's table, which is half full
/// at worst, its list of watchers, and its places in the watch.
pub const WATCHED_USER_BYTES: u64 = 2 * 40 + 64 + size_of::<WatchTarget>() as u64 + 8 + 2 * 24;

/// One user to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchTarget {
    /// Whose states.
    pub user: UserId,
    /// Where to begin.
    pub from: WatchFrom,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFrom {
    /// With what changed after this version; 0 for everything.
    Version(Version),
    /// With what changes from now on.
    Now,
}

/// Some users, watched. Dropping it ends that.
pub struct Watch {
    engine: Arc<Engine>,
    queue: Arc<Queue>,
    /// The same, as the cache knows it.
    watcher: Arc<dyn Watcher>,
    /// Not yet begun, the next one last.
    targets: Vec<WatchTarget>,
    watched: Vec<UserId>,
    /// Changes of these users up to these versions are not given out: a full set had them, or the
    /// user could not be caught up with, and whoever resumed from a later change would miss what
    /// came before it.
    withheld: HashMap<UserId, Version>,
    catching_up: Option<CatchUp>,
    /// Taken out of the queue, durable or not.
    changes: Charged<Change>,
    /// To be given out.
    events: Charged<Event>,
    /// Changes were taken out last: the next user is due before more of them are.
    target_due: bool,
    /// A user could not be caught up with for ever; the others are, before that is said.
    damaged: Option<Error>,
    /// Why it is over, once it is.
    end: WatchEnd,
}

impl Engine {
    /// Watches these users, none of them twice. The order of events is that of versions per user.
    ///
    /// # Errors
    /// [`Error::TooManyWatched`] where as many users are watched as may be.
    pub fn watch(self: &Arc<Self>, mut targets: Vec<WatchTarget>) -> Result<Watch, Error> {
        if !self.watches.admit(targets.len()) {
            self.metrics.rejections.too_many_requests.inc();
            return Err(Error::TooManyWatched);
        }
        targets.reverse();
        self.metrics.watch.streams.inc();
        self.metrics.watch.users.add(targets.len() as i64);
        let queue = Arc::new(Queue::new(Arc::clone(&self.watches)));
        Ok(Watch {
            engine: Arc::clone(self),
            watcher: Arc::clone(&queue) as Arc<dyn Watcher>,
            queue,
            watched: Vec::with_capacity(targets.len()),
            targets,
            withheld: HashMap::new(),
            catching_up: None,
            changes: Charged::new(Arc::clone(&self.watches)),
            events: Charged::new(Arc::clone(&self.watches)),
            target_due: false,
            damaged: None,
            end: WatchEnd::Closed,
        })
    }
}

impl Watch {
    /// The next event. It waits for one as long as it takes.
    ///
    /// # Errors
    /// [`Error::SlowConsumer`] where the caller has not asked for long enough while much changed,
    /// [`Error::TooManyWatchers`], else that the store did not answer or a change could not be made
    /// durable; of a damaged row only when all other users are caught up. Whatever it is,
    /// the watch is over; another one goes on from the versions that were given out.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.events.pop() {
                self.engine.metrics.watch.count(event.cause);
                return Ok(event);
            }
            if let Err(error) = self.turn().await {
                self.end = match error {
                    Error::SlowConsumer => WatchEnd::SlowConsumer,
                    _ => WatchEnd::Failed,
                };
                return Err(error);
            }
        }
    }

    /// Ends it because the server does.
    pub fn drain(mut self) {
        self.end = WatchEnd::Draining;
    }

    /// Gets on with what comes first: the catch-up under way; then some changes and the next user
    /// in turn, so that neither those who are caught up nor those who are not wait for all others.
    async fn turn(&mut self) -> Result<(), Error> {
        if let Some(catch_up) = &mut self.catching_up {
            match catch_up.step(&self.engine, &mut self.events).await {
                Ok(true) => self.catching_up = None,
                Ok(false) => {}
                Err(error @ Error::Corrupt(_)) => {
                    self.withheld.insert(catch_up.user(), Version::from_micros(u64::MAX));
                    self.catching_up = None;
                    self.damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        } else if let Some(change) = self.changes.pop() {
            self.give_out(change).await?;
        } else if self.target_due && !self.targets.is_empty() {
            self.begin_next()?;
        } else if self.take_changes()? {
            self.target_due = true;
        } else if !self.targets.is_empty() {
            self.begin_next()?;
        } else if let Some(error) = self.damaged.take() {
            return Err(error);
        } else {
            self.queue.filled().await;
        }
        Ok(())
    }

    /// Takes some changes out of the queue; whether there were any.
    fn take_changes(&mut self) -> Result<bool, Error> {
        let depth = self.queue.drain(CHANGES_PER_TURN_MAX, &mut self.changes);
        let depth = depth.map_err(|Overflow| {
            self.engine.metrics.rejections.slow_consumer.inc();
            Error::SlowConsumer
        })?;
        if depth > 0 {
            self.engine.metrics.watch.depth.observe(depth as f64);
        }
        Ok(depth > 0)
    }

    fn begin_next(&mut self) -> Result<(), Error> {
        self.target_due = false;
        let Some(target) = self.targets.pop() else { return Ok(()) };
        let user = target.user;
        let now = self.engine.clock.now();
        // Counted first: whatever comes of it, its place is given back at the end.
        self.watched.push(user);
        let upto = self.engine.cache.watch(user, Arc::clone(&self.watcher), &now);
        let Some(upto) = upto else {
            self.engine.metrics.rejections.too_many_requests.inc();
            return Err(Error::TooManyWatchers);
        };
        match target.from {
            WatchFrom::Now => self.events.push(Event::caught_up(user, upto)),
            WatchFrom::Version(since) => {
                self.catching_up = Some(CatchUp::new(user, since, upto));
            }
        }
        Ok(())
    }

    /// Shows a change once a crash cannot take it back (I8).
    async fn give_out(&mut self, change: Change) -> Result<(), Error> {
        let Change { user, version, cause, .. } = change;
        if self.withheld.get(&user).is_some_and(|upto| version <= *upto) {
            return Ok(());
        }
        self.engine.secure_change(&change).await?;
        if cause == Cause::CatchUp {
            self.renew(user);
            return Ok(());
        }
        self.events.push(Event::of(&change));
        if cause == Cause::Resync {
            // Nothing is left of the user, so nothing follows but what changes from then on.
            self.events.push(Event::caught_up(user, version));
        }
        Ok(())
    }

    /// States of the user came with versions of their own: all are looked at anew.
    fn renew(&mut self, user: UserId) {
        let upto = self.engine.cache.told_upto(user);
        self.withheld.insert(user, upto);
        self.catching_up = Some(CatchUp::new(user, Version::ZERO, upto));
    }
}

impl Engine {
    async fn secure_change(&self, change: &Change) -> Result<(), Error> {
        let in_memory = matches!(self.settings.durability, Durability::Memory);
        if in_memory || sabotage::is(Fault::WatchUndurable) {
            return Ok(());
        }
        let has_it = |engine: &Self| match (&change.state, change.cause) {
            (Some((key, _)), _) => engine.cache.is_flushed(key),
            (None, Cause::Resync) => !engine.cache.is_deletion_pending(change.user),
            // The full set that follows waits for what it shows.
            (None, _) => true,
        };
        if matches!(self.settings.durability, Durability::Store) && has_it(self) {
            return Ok(());
        }
        let secured = self.secured(change.record).await;
        // Where the pass did not write everything, that may be others' rows.
        secured.or_else(|error| match self.settings.durability {
            Durability::Store if has_it(self) => Ok(()),
            _ => Err(error),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for user in &self.watched {
            self.engine.cache.unwatch(*user, &self.watcher);
        }
        let users = self.watched.len() + self.targets.len();
        self.engine.watches.leave(users);
        self.engine.metrics.watch.streams.dec();
        self.engine.metrics.watch.users.sub(users as i64);
        self.engine.metrics.watch.end(self.end);
    }
}
