//! `List`: all states of a user, or what changed since a version, page by page.

use super::{
    Engine, Error,
    page_token::PageToken,
    user_scan::{SCAN_STEP_ROWS, Step, UserScan},
};
use crate::model::{Key, UserId, Version, View};

/// Rows that one call looks at, however few of them match; a page may end early because of it.
const ROWS_PER_CALL_MAX: usize = 100_000;

/// What to list.
#[derive(Clone, Copy, Debug)]
pub struct ListQuery<'a> {
    /// Whose states.
    pub user: UserId,
    /// Rows per page, at least 1.
    pub page_size: usize,
    /// Of the page before; empty for the first.
    pub page_token: &'a str,
    /// Only what changed after it; 0 for everything.
    pub since: Version,
    /// Only states with mentions or a dot.
    pub unread_only: bool,
}

/// One page.
#[derive(Debug, Default)]
pub struct ListPage {
    /// In key order.
    pub rows: Vec<(Key, View)>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// The version to list from next time; the same on every page.
    pub version: Version,
    /// Whether these are changes since the version asked for, not a full set.
    pub delta: bool,
}

impl Engine {
    /// One page of a user's states.
    ///
    /// # Errors
    /// [`Error::InvalidPageToken`], which includes that so much time has passed since the first
    /// page that the changes cannot all be told any more; or that the store did not answer.
    pub async fn list(&self, query: ListQuery<'_>) -> Result<ListPage, Error> {
        let mut token = match query.page_token {
            "" => None,
            text => Some(PageToken::decode(text, &query).ok_or(Error::InvalidPageToken)?),
        };
        let after = token.map(|token| token.after);
        let mut scan = UserScan::new(self, query.user, after, step_rows(&query));
        let mut rows = Vec::new();
        let mut looked_at = 0;
        let mut unflushed = None;
        let mut more = false;
        while let Some(step) = scan.step().await? {
            let token = token.get_or_insert_with(|| self.first_token(&query, &step));
            if token.delta && query.since < step.expired_before {
                // Tombstones went between two pages: what is left would be taken for all there was.
                return Err(Error::InvalidPageToken);
            }
            unflushed = unflushed.max(step.unflushed);
            looked_at += step.rows.len();
            more = take_page(&query, token, step.rows, &mut rows);
            if more || looked_at >= ROWS_PER_CALL_MAX {
                more = true;
                break;
            }
        }
        if let Some(record) = unflushed {
            self.secured(record).await?;
        }
        let token = token.ok_or(Error::InvalidPageToken)?;
        let next_page_token = if more { token.encode(&query) } else { String::new() };
        Ok(ListPage { rows, next_page_token, version: token.version, delta: token.delta })
    }

    /// Fixes version and kind of the answer for all of its pages.
    fn first_token(&self, query: &ListQuery<'_>, step: &Step) -> PageToken {
        let delta = self.is_delta(query.since, step);
        PageToken { after: Key::lowest_of(query.user), version: step.version, delta }
    }

    /// Whether what changed after `since` can be told; `step` is the first of a scan.
    pub(super) fn is_delta(&self, since: Version, step: &Step) -> bool {
        since != Version::ZERO
            && since >= self.delta_horizon()
            && since >= step.expired_before
            && since <= step.version
            && step.deleted_at.is_none_or(|deleted_at| since >= deleted_at)
    }
}

/// Small pages need small steps, unless most rows will not match.
fn step_rows(query: &ListQuery<'_>) -> usize {
    let selective = query.unread_only || query.since != Version::ZERO;
    if selective { SCAN_STEP_ROWS } else { query.page_size.saturating_add(1) }
}

/// Moves matching rows onto the page; whether one more was found than fits. The token is left at
/// the last row that is on the page or did not match.
fn take_page(
    query: &ListQuery<'_>,
    token: &mut PageToken,
    step: Vec<(Key, View)>,
    rows: &mut Vec<(Key, View)>,
) -> bool {
    for (key, view) in step {
        let matches = if token.delta {
            view.version > query.since
        } else {
            !view.deleted && (!query.unread_only || view.mention_count > 0 || view.marked_unread)
        };
        if matches && rows.len() == query.page_size {
            return true;
        }
        token.after = key;
        if matches {
            rows.push((key, view));
        }
    }
    false
}
