//! What came back from the journal gives way to newer rows of the store: the journal may be a copy
//! from before them, or a repair may have left out newer records (I11).

use super::Flusher;
use crate::{
    model::{Key, ReadState, UserId, Version},
    store::StoreError,
};

/// When the user that was looked at last was deleted: a user's keys come one after the other.
type LastUser = Option<(UserId, Option<Version>)>;

impl Flusher {
    /// Forgets every dirty state of which the store has a newer row, or whose user it deleted
    /// since; how many. Before a pass or a checkpoint, while nobody is served.
    ///
    /// What gave way is needed in the journal until the store has persisted what it gave way to.
    /// A row of the same version changes nothing, for that reason.
    ///
    /// # Errors
    /// Those of the store; calling it again goes on.
    pub async fn give_way(&self) -> Result<usize, StoreError> {
        let mut gone = 0;
        for shard in 0..self.cache.shards() {
            let (mut step, mut user) = (0, None);
            while let Some(mut states) = self.cache.dirty_states(shard, step) {
                // Those of a user in a row, and neighbours in the store.
                states.sort_unstable();
                gone += self.give_way_to_rows(states, &mut user).await?;
                step += 1;
            }
        }
        Ok(gone)
    }

    async fn give_way_to_rows(
        &self,
        states: Vec<(Key, Version)>,
        user: &mut LastUser,
    ) -> Result<usize, StoreError> {
        let rows = self.rows_of(states.iter().map(|(key, _)| *key).collect()).await?;
        let mut gone = 0;
        for ((key, version), row) in states.into_iter().zip(rows) {
            // A row that is there is newer than the deletion of its user.
            let newest = match row {
                Some(row) => Some(row.version()),
                None => self.deletion_of(key.user, user).await?.map(|deleted| deleted.next()),
            };
            if let Some(newest) = newest.filter(|newest| *newest > version) {
                self.cache.give_way(&key, newest);
                gone += 1;
            }
        }
        Ok(gone)
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
