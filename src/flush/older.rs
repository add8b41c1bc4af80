//! What came back from the journal meets newer rows of the store.
//!
//! Mostly it gives way to them: the journal may be a copy from before them, or a repair may have
//! left out newer records (I11). Where another owner has written them, who did not know of it, the
//! two are merged.

use super::Flusher;
use crate::{
    model::{Key, ReadState, UserId, Version},
    store::StoreError,
};

/// When the user that was looked at last was deleted: a user's keys come one after the other.
type LastUser = Option<(UserId, Option<Version>)>;

/// What becomes of a state where the store has a newer row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// The row has all of it, and stays as it is.
    Stays,
    /// The row is another owner's, and gets what it lacks of the state. States that meet none get
    /// a version above his, too: he may have changed them and not brought that to the store, and
    /// has to see when he comes back that this one did not begin where he ended.
    Merges,
}

/// What became of states that met newer rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Forgotten, for the row or the deletion of their user.
    pub gone: usize,
    /// Merged with the row, dirty, and newer than it.
    pub merged: usize,
}

impl Flusher {
    /// Forgets every dirty state of which the store has a newer row, or whose user it deleted
    /// since, or merges it with that row. Before a pass or a checkpoint, while nobody is served.
    ///
    /// What gave way is needed in the journal until the store has persisted what it gave way to.
    /// A row of the same version changes nothing, for that reason.
    ///
    /// # Errors
    /// Those of the store; calling it again goes on.
    pub async fn give_way(&self, newer: Newer) -> Result<Met, StoreError> {
        let mut met = Met::default();
        for shard in 0..self.cache.shards() {
            let (mut step, mut user) = (0, None);
            while let Some(mut states) = self.cache.dirty_states(shard, step) {
                // Those of a user in a row, and neighbours in the store.
                states.sort_unstable();
                self.meet_rows(states, newer, &mut user, &mut met).await?;
                step += 1;
            }
        }
        Ok(met)
    }

    async fn meet_rows(
        &self,
        states: Vec<(Key, Version)>,
        newer: Newer,
        user: &mut LastUser,
        met: &mut Met,
    ) -> Result<(), StoreError> {
        let rows = self.rows_of(states.iter().map(|(key, _)| *key).collect()).await?;
        for ((key, version), row) in states.into_iter().zip(rows) {
            if let Some(row) = row.as_ref().filter(|row| row.version() > version)
                && newer == Newer::Merges
                // Of a user that was deleted since, what came before that does not come back.
                && self.deletion_of(key.user, user).await? < Some(version)
                && self.cache.merge(&key, row)
            {
                met.merged += 1;
                continue;
            }
            // A row that is there is newer than the deletion of its user.
            let newest = match row {
                Some(row) => Some(row.version()),
                None => self.deletion_of(key.user, user).await?.map(|deleted| deleted.next()),
            };
            if let Some(newest) = newest.filter(|newest| *newest > version) {
                self.cache.give_way(&key, newest);
                met.gone += 1;
            } else if newer == Newer::Merges {
                self.cache.restamp(&key);
            }
        }
        Ok(())
    }

    /// The store's rows of these keys. What is damaged counts for nothing: its state in the
    /// journal will take its place.
    async fn rows_of(&self, keys: Vec<Key>) -> Result<Vec<Option<ReadState>>, StoreError> {
        match self.store.load_many(keys.clone()).await {
            Err(StoreError::Corrupt(_)) => {}
            loaded => return loaded,
        }
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            rows.push(unless_corrupt(self.store.load(key).await)?.flatten());
        }
        Ok(rows)
    }

    async fn deletion_of(
        &self,
        user: UserId,
        last: &mut LastUser,
    ) -> Result<Option<Version>, StoreError> {
        if let Some((_, deleted_at)) = last.filter(|(known, _)| *known == user) {
            return Ok(deleted_at);
        }
        // Above all rows of the user: a look at the deletion alone costs half as much.
        let after = Some(Key::highest_of(user));
        let page = unless_corrupt(self.store.load_user(user, after, 1).await)?;
        let deleted_at = page.and_then(|page| page.deleted_at);
        *last = Some((user, deleted_at));
        Ok(deleted_at)
    }
}

fn unless_corrupt<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
