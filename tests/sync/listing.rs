//! A `List` as a device makes it: page by page, with whatever comes between them.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use readstates::{
    engine::{Error, ListPage, ListQuery},
    model::{Key, UserId, Version, View},
};

use crate::{copy::Copy, node::Node};

type Arrived = Arc<Mutex<Option<Result<ListPage, Error>>>>;

/// A list under way.
pub struct Listing {
    pub user: UserId,
    page_size: usize,
    since: Version,
    token: String,
    rows: BTreeMap<Key, View>,
    /// Where the page that was asked for arrives.
    arrives: Option<Arrived>,
    /// What the first page said.
    said: Option<(Version, bool)>,
}

/// What a page came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paged {
    More,
    Done,
    /// The call failed; the same page can be asked for again.
    Failed,
    /// Tombstones expired between two pages: it has to be begun anew.
    Void,
}

impl Listing {
    pub fn begin(user: UserId, since: Version, page_size: usize) -> Self {
        let (rows, token) = (BTreeMap::new(), String::new());
        Self { user, page_size, since, token, rows, arrives: None, said: None }
    }

    /// Asks for the next page, unless one is asked for.
    pub fn ask(&mut self, node: &Node) {
        if self.arrives.is_some() {
            return;
        }
        let arrived = Arrived::default();
        self.arrives = Some(Arc::clone(&arrived));
        let engine = Arc::clone(&node.engine);
        let (user, page_size, since) = (self.user, self.page_size, self.since);
        let page_token = self.token.clone();
        node.spawn(async move {
            let unread_only = false;
            let query = ListQuery { user, page_size, page_token: &page_token, since, unread_only };
            let page = engine.list(query).await;
            *arrived.lock() = Some(page);
        });
    }

    /// The process that was asked is gone.
    pub fn cut(&mut self) {
        self.arrives = None;
    }

    /// Takes a page in, if one has arrived; `each` is shown every row.
    pub fn take(&mut self, copy: &mut Copy, mut each: impl FnMut(Key, View)) -> Option<Paged> {
        let page = self.arrives.as_ref()?.lock().take()?;
        self.arrives = None;
        let page = match page {
            Ok(page) => page,
            Err(Error::InvalidPageToken) => {
                assert!(!self.token.is_empty() && self.since > Version::ZERO, "a full set is told");
                return Some(Paged::Void);
            }
            Err(_) => return Some(Paged::Failed),
        };
        let said = *self.said.get_or_insert((page.version, page.delta));
        assert_eq!(said, (page.version, page.delta), "the same on every page");
        assert!(page.version >= self.since || !page.delta, "{said:?} since {}", self.since);
        for (key, view) in page.rows {
            assert!(self.rows.last_key_value().is_none_or(|(last, _)| *last < key), "{key:?}");
            assert!(view.exists() || page.delta, "a tombstone in a full set");
            assert!(!page.delta || view.version > self.since, "{view:?} is not new");
            each(key, view);
            copy.hold(key, view);
            self.rows.insert(key, view);
        }
        self.token = page.next_page_token;
        if !self.token.is_empty() {
            return Some(Paged::More);
        }
        copy.listed(page.version, (!page.delta).then_some(&self.rows));
        Some(Paged::Done)
    }

    /// The rows of all pages so far.
    pub fn rows(&self) -> &BTreeMap<Key, View> {
        &self.rows
    }
}
