//! `DeleteUser`: nothing of the user stays, in memory or in the store.

use tokio::time::Instant;

use super::{
    DIRTY_WAIT_MAX, Durability, Engine, Error, concluded,
    user_scan::{SCAN_STEP_ROWS, UserScan},
};
use crate::{
    cache::Refusal,
    metrics::StoreOperation,
    model::{Sequence, UserId, Version},
};

impl Engine {
    /// Removes everything the user has and answers how many states that were. Returns once the
    /// store has removed them too; where it does not take that now, but the deletion is in the
    /// journal, they stay hidden until it does.
    ///
    /// # Errors
    /// That the store did not answer. Once the deletion has begun it is not given up.
    pub async fn delete_user(&self, user: UserId) -> Result<u32, Error> {
        let (deleted, newest) = self.count_states(user).await?;
        // A deletion takes away what is older than itself: were a row newer, it would stay.
        self.lift_ceiling(newest).await?;
        self.cache.seen(user, newest);
        let record = self.begin_deletion(user, None).await?;
        self.conclude_deletion(user, record).await?;
        Ok(deleted)
    }

    /// Removes what the user had up to `version`, where that was not done before: another owner of
    /// the keyspace has acknowledged it and was deposed before it was flushed. What has changed
    /// since stays. Returns as [`Self::delete_user`] does.
    ///
    /// # Errors
    /// As [`Self::delete_user`]; the same call again does the rest.
    pub async fn delete_user_upto(&self, user: UserId, version: Version) -> Result<(), Error> {
        let mark = self.ask(StoreOperation::LoadUser, self.store.load_user(user, None, 0)).await?;
        if mark.deleted_at < Some(version) {
            self.lift_ceiling(version).await?;
            let record = self.begin_deletion(user, Some(version)).await?;
            self.conclude_deletion(user, record).await?;
        }
        // It is older than what deltas reach back to, also where an error came just before this.
        self.conclude_import(None).await
    }

    async fn conclude_deletion(&self, user: UserId, record: Sequence) -> Result<(), Error> {
        if let Durability::Journal(journal) = &self.settings.durability {
            journal.reached(record).await?;
        }
        let flushed = self.flushed().await;
        // Where the pass did not write everything, that may be others' rows.
        if self.cache.is_deletion_pending(user) && !self.settings.durability.is_journal() {
            flushed?;
        }
        Ok(())
    }

    /// The states, and the newest version of theirs, tombstones included.
    async fn count_states(&self, user: UserId) -> Result<(u32, Version), Error> {
        let mut count = 0_u32;
        let mut newest = Version::ZERO;
        let mut scan = UserScan::new(self, user, None, SCAN_STEP_ROWS);
        while let Some(step) = scan.step().await? {
            let states = step.rows.iter().filter(|(_, view)| view.exists()).count();
            count = count.saturating_add(u32::try_from(states).unwrap_or(u32::MAX));
            newest = step.rows.iter().map(|(_, view)| view.version).fold(newest, Version::max);
        }
        Ok((count, newest))
    }

    async fn begin_deletion(&self, user: UserId, upto: Option<Version>) -> Result<Sequence, Error> {
        let deadline = Instant::now() + DIRTY_WAIT_MAX;
        loop {
            let room = match self.settings.durability.room(1).await {
                Ok(room) => room,
                Err(error) => {
                    self.counted(Err(error))?;
                    continue;
                }
            };
            let now = self.clock.now();
            let begun = match upto {
                Some(version) => self.cache.delete_user_upto(user, version, &now),
                None => self.cache.delete_user(user, &now),
            };
            let refusal = match begun {
                Ok((_, record)) => return Ok(record),
                Err(refusal) => refusal,
            };
            drop(room);
            if refusal != Refusal::DirtyLimit || !self.place_freed(deadline).await {
                self.counted(concluded(Err(refusal)).result)?;
            }
        }
    }
}
