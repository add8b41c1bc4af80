//! `DeleteUser`: nothing of the user stays, in memory or in the store.

use tokio::time::Instant;

use super::{
    DIRTY_WAIT_MAX, Durability, Engine, Error, concluded,
    user_scan::{SCAN_STEP_ROWS, UserScan},
};
use crate::{
    cache::Refusal,
    model::{Sequence, UserId, Version},
};

impl Engine {
    /// Removes everything the user has and answers how many states that were. Returns once the
    /// store has removed them too; where it does not take that now, but the deletion is in the
    /// journal, they stay hidden until it does.
    ///
    /// Of a store that others can reach it has to be the store. While the deletion is in a journal
    /// only, another owner may serve what it takes away, and give it a newer version with whatever
    /// he merges into it: that version would outlive the deletion.
    ///
    /// # Errors
    /// That the store did not answer. Once the deletion has begun it is not given up.
    pub async fn delete_user(&self, user: UserId) -> Result<u32, Error> {
        let (deleted, newest) = self.count_states(user).await?;
        // A deletion takes away what is older than itself: were a row newer, it would stay.
        self.lift_ceiling(newest).await?;
        self.cache.seen(user, newest);
        let record = self.begin_deletion(user, None).await?;
        self.conclude_deletions(std::iter::once(user), record).await?;
        Ok(deleted)
    }

    /// Removes what each of these users had up to a version, where that was not done before:
    /// another owner of the keyspace has acknowledged it and was deposed before it was flushed.
    /// What has changed since stays. Returns as [`Self::delete_user`] does.
    ///
    /// They go to the store together. Each takes a dirty place until it is there.
    ///
    /// # Errors
    /// As [`Self::delete_user`]; the same call again does the rest.
    pub async fn delete_users_upto(&self, deletions: &[(UserId, Version)]) -> Result<(), Error> {
        let Some(newest) = deletions.iter().map(|(_, version)| *version).max() else {
            return Ok(());
        };
        let marks = self.marks(deletions.iter().map(|(user, _)| *user).collect()).await?;
        let is_known = |(user, version): &&(UserId, Version)| {
            marks.get(user).is_some_and(|mark| mark.deleted_at >= Some(*version))
        };
        let unknown: Vec<_> = deletions.iter().filter(|deletion| !is_known(deletion)).collect();
        self.lift_ceiling(newest).await?;
        let mut last = None;
        for (user, version) in &unknown {
            last = last.max(Some(self.begin_deletion(*user, Some(*version)).await?));
        }
        if let Some(record) = last {
            self.conclude_deletions(unknown.iter().map(|(user, _)| *user), record).await?;
        }
        // They are older than what deltas reach back to, also where an error came just before this.
        self.conclude_import(None).await
    }

    /// `record` is that of the last of them.
    async fn conclude_deletions(
        &self,
        mut users: impl Iterator<Item = UserId>,
        record: Sequence,
    ) -> Result<(), Error> {
        if let Durability::Journal(journal) = &self.settings.durability {
            journal.reached(record).await?;
        }
        let flushed = self.flushed().await;
        let rests_on_store = !self.settings.durability.is_journal() || self.store.is_shared();
        // Where the pass did not write everything, that may be others' rows.
        if rests_on_store && users.any(|user| self.cache.is_deletion_pending(user)) {
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
