//! All states of a user in key order: the store's rows, overlaid with what it does not have yet.

use std::cmp::Ordering;

use super::{Engine, Error};
use crate::{
    cache::Overlay,
    metrics::StoreOperation,
    model::{Key, Sequence, UserId, Version, View},
    store::Row,
};

/// Rows read from the store in one step.
pub(super) const SCAN_STEP_ROWS: usize = 1024;

/// A walk over a user's states. Each step takes the overlay *before* it reads the store: what is
/// settled in between is in both, and what is changed in between has a version above that of the
/// first step.
pub(super) struct UserScan<'a> {
    engine: &'a Engine,
    user: UserId,
    /// Where the next step begins; `None` inside once the end is reached.
    next: Option<Option<Key>>,
    step_rows: usize,
}

/// Part of a user's states.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// In key order, tombstones included.
    pub rows: Vec<(Key, View)>,
    /// Every change up to this version is in the scan, from its first step on.
    pub version: Version,
    /// When the user was last deleted as a whole.
    pub deleted_at: Option<Version>,
    /// Deletions older than this may have been forgotten.
    pub expired_before: Version,
    /// Where some of the rows, or that the user was deleted, are not in the store yet: the newest
    /// record of that (I8).
    pub unflushed: Option<Sequence>,
}

impl<'a> UserScan<'a> {
    pub fn new(engine: &'a Engine, user: UserId, after: Option<Key>, step_rows: usize) -> Self {
        Self { engine, user, next: Some(after), step_rows: step_rows.clamp(1, SCAN_STEP_ROWS) }
    }

    /// The next part; `None` at the end. The first step always is one, if perhaps without rows.
    pub async fn step(&mut self) -> Result<Option<Step>, Error> {
        let Some(after) = self.next else { return Ok(None) };
        let overlay = self.overlay(after).await;
        let page = self.engine.store.load_user(self.user, after, self.step_rows);
        let page = self.engine.ask(StoreOperation::LoadUser, page).await?;
        let end_of_rows = page.rows.last().filter(|_| page.rows.len() >= self.step_rows);
        let end = match (end_of_rows.map(|row| row.key), overlay.resume_after) {
            (Some(rows), Some(overlay)) => Some(rows.min(overlay)),
            (rows, overlay) => rows.or(overlay),
        };
        self.next = end.map(Some);
        let deleted_at = overlay.deleted_at.max(page.deleted_at);
        Ok(Some(Step {
            unflushed: overlay.unflushed,
            version: overlay.version,
            deleted_at,
            expired_before: page.expired_before,
            rows: merge(page.rows, overlay.rows, deleted_at, end),
        }))
    }

    async fn overlay(&self, after: Option<Key>) -> Overlay {
        let cache = &self.engine.cache;
        let mut whole = cache.overlay(self.user, after, self.step_rows);
        while let Some(last) = whole.resume_after.filter(|_| whole.rows.len() < self.step_rows) {
            // Between two holds of the lock, others on this runtime get their turn (I1).
            tokio::task::yield_now().await;
            let room = self.step_rows - whole.rows.len();
            let part = cache.overlay(self.user, Some(last), room);
            whole.rows.extend(part.rows);
            whole.unflushed = whole.unflushed.max(part.unflushed);
            whole.resume_after = part.resume_after;
        }
        whole
    }
}

/// Merges rows and overlay up to `end`; of a key in both the higher version wins. What a deletion
/// of the user has done away with is left out of both: it may have come between the two looks.
fn merge(
    rows: Vec<Row>,
    overlay: Vec<(Key, View)>,
    deleted_at: Option<Version>,
    end: Option<Key>,
) -> Vec<(Key, View)> {
    let shown = |(key, view): &(Key, View)| {
        end.is_none_or(|end| *key <= end) && deleted_at.is_none_or(|at| view.version > at)
    };
    let rows = rows.into_iter().map(|row| (row.key, row.state.view()));
    let mut rows = rows.filter(shown).peekable();
    let mut overlay = overlay.into_iter().filter(shown).peekable();
    let mut merged = Vec::with_capacity(rows.size_hint().1.unwrap_or(0));
    loop {
        let order = match (rows.peek(), overlay.peek()) {
            (Some((row, _)), Some((dirty, _))) => row.cmp(dirty),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return merged,
        };
        let row = if order.is_le() { rows.next() } else { None };
        let dirty = if order.is_ge() { overlay.next() } else { None };
        merged.extend(row.into_iter().chain(dirty).max_by_key(|(_, view)| view.version));
    }
}
