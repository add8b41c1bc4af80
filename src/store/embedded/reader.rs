//! Loads and scans. Each looks at one snapshot, so it sees all of a commit or nothing.

use fjall::Guard;

use crate::{
    model::{Key, ReadState, UserId, Version},
    store::{Row, Scanned, StoreError, UserPage, codec, user_bounds::user_bounds},
};

use super::{
    layout::{
        META, ROWS_END, ROWS_START, just_above, key_of_row, mark_key, row_key, version_of_mark,
    },
    meta::Meta,
    tables::{Tables, View},
};

/// What a reader thread works with.
#[derive(Clone)]
pub(super) struct Reader {
    tables: Tables,
}

impl Reader {
    pub(super) fn new(tables: Tables) -> Self {
        Self { tables }
    }

    pub(super) fn load(&self, key: &Key) -> Result<Option<ReadState>, StoreError> {
        load(&self.tables.view(), key)
    }

    pub(super) fn load_many(&self, keys: &[Key]) -> Result<Vec<Option<ReadState>>, StoreError> {
        let view = self.tables.view();
        keys.iter().map(|key| load(&view, key)).collect()
    }

    pub(super) fn load_user(
        &self,
        user: UserId,
        after: Option<Key>,
        limit: usize,
    ) -> Result<UserPage, StoreError> {
        let view = self.tables.view();
        let (first, last) = user_bounds(user);
        let start = row_key(&first).to_vec();
        let from = after.map_or(start.clone(), |after| just_above(&after).max(start));
        let rows = rows(&view, &from, &just_above(&last), limit)?;
        // After the rows: a deletion writes the mark before it removes any, so even a view that
        // came upon the midst of it cannot miss both.
        let mark = view.find(&mark_key(user))?;
        let deleted_at = mark.map(|value| version_of_mark(user, &value)).transpose()?;
        let expired_before = expired_before(&view)?;
        Ok(UserPage { rows, deleted_at, expired_before })
    }

    pub(super) fn scan(&self, after: Option<Key>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = after.map_or(ROWS_START.to_vec(), |after| just_above(&after));
        rows(&self.tables.view(), &from, &ROWS_END, limit)
    }

    pub(super) fn scan_past_damage(
        &self,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Scanned, StoreError> {
        let from = after.map_or(ROWS_START.to_vec(), |after| just_above(&after));
        let mut scanned = Scanned::default();
        for guard in self.tables.view().range(&from, &ROWS_END).take(limit) {
            let (key, value) = guard.into_inner()?;
            let key = key_of_row(&key)?;
            match codec::decode(&key, &value) {
                Ok(state) => scanned.rows.push(Row { key, state }),
                Err(damage @ StoreError::Corrupt(_)) => scanned.damaged.push((key, damage)),
                Err(error) => return Err(error),
            }
        }
        Ok(scanned)
    }
}

fn expired_before(view: &View<'_>) -> Result<Version, StoreError> {
    let meta = view.find(&META)?.map(|row| Meta::decode(&row)).transpose()?;
    Ok(meta.unwrap_or_default().expired_before)
}

pub(super) fn load(view: &View<'_>, key: &Key) -> Result<Option<ReadState>, StoreError> {
    view.find(&row_key(key))?.map(|row| codec::decode(key, &row)).transpose()
}

fn rows(view: &View<'_>, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
    if from >= to {
        return Ok(Vec::new());
    }
    view.range(from, to).take(limit).map(row).collect()
}

pub(super) fn row(guard: Guard) -> Result<Row, StoreError> {
    let (key, value) = guard.into_inner()?;
    let key = key_of_row(&key)?;
    Ok(Row { state: codec::decode(&key, &value)?, key })
}
