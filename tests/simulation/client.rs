//! What callers do, as the engine does it for them: room in the journal, the cache, a load where
//! the state is not there, and no answer before a crash cannot take it back.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use readstates::{
    cache::{Access, Outcome, Refusal},
    journal::{JournalError, Reservation},
    model::{Key, Sequence, UserId, View},
    store::StoreError,
};
use tokio::sync::oneshot;

use crate::{history::History, life::Life, trace::Trace};

/// How often a load is begun anew because its key was touched meanwhile.
const LOADS_MAX: usize = 32;
/// Keys of one look at the overlay.
const OVERLAY_KEYS: usize = 2;

/// Why a caller got no answer. What it asked for may be done all the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    #[error("store: {0}")]
    Store(#[from] StoreError),
    #[error("touched too often")]
    Touched,
    #[error("the load is gone")]
    Gone,
}

/// An outcome with the record that must be durable before it may be seen.
type Followed = (Outcome, Sequence);

/// One who asks; clones ask the same process.
#[derive(Clone)]
pub struct Client {
    pub life: Rc<Life>,
    pub history: Rc<RefCell<History>>,
    pub trace: Trace,
    /// For the trace.
    pub number: u64,
}

impl Client {
    pub async fn access(self, key: Key, access: Access) {
        let answer = self.answer(key, access).await;
        let number = self.number;
        self.trace.note(|| match answer {
            Ok(words) => format!("call {number} ends: {words}"),
            Err(trouble) => format!("call {number} fails: {trouble}"),
        });
    }

    async fn answer(&self, key: Key, access: Access) -> Result<String, Trouble> {
        let (outcome, made) = match self.present(key, &access).await? {
            Some(followed) => followed,
            None => self.load(key, access).await?,
        };
        let unflushed = match &outcome {
            Ok(done) => done.unflushed,
            Err(Refusal::Mismatch { unflushed, .. }) => *unflushed,
            Err(refusal) => return Ok(format!("{refusal:?}")),
        };
        self.shown(unflushed, made).await?;
        let done = outcome.is_ok_and(|done| done.changed);
        Ok(format!("record {made}, changed {done}"))
    }

    /// Waits as the outcome says, then lets the caller see what was made by record `made`.
    async fn shown(&self, unflushed: Option<Sequence>, made: Sequence) -> Result<(), Trouble> {
        if let Some(record) = unflushed {
            self.life.journal.reached(record).await?;
        }
        self.history.borrow_mut().show(made, self.life.journal.durable());
        Ok(())
    }

    async fn room(&self, records: usize) -> Result<Option<Reservation>, Trouble> {
        match records {
            0 => Ok(None),
            records => Ok(Some(self.life.journal.reserve(records).await?)),
        }
    }

    /// Does what is asked of a state in memory; `None` where it is not there.
    async fn present(&self, key: Key, access: &Access) -> Result<Option<Followed>, Trouble> {
        let _room = self.room(access.records()).await?;
        let outcome = self.life.cache.access(&key, access, &self.life.clock.now());
        Ok(outcome.map(|outcome| self.follow(key, access, outcome)))
    }

    fn follow(&self, key: Key, access: &Access, outcome: Outcome) -> Followed {
        let made = self.history.borrow_mut().follow(key, access, &outcome);
        (outcome, made)
    }

    /// Detached, as a caller that goes away must not take the ticket along.
    async fn load(&self, key: Key, access: Access) -> Result<Followed, Trouble> {
        let (tell, told) = oneshot::channel();
        let loader = self.clone();
        let name = format!("load {}", self.number);
        self.life.spawner.spawn(name, true, async move {
            let _ = tell.send(loader.bring(key, access).await);
        });
        told.await.unwrap_or(Err(Trouble::Gone))
    }

    async fn bring(&self, key: Key, access: Access) -> Result<Followed, Trouble> {
        for _ in 0..LOADS_MAX {
            let Some(ticket) = self.life.cache.begin_load(key) else {
                match self.present(key, &access).await? {
                    Some(followed) => return Ok(followed),
                    None => continue,
                }
            };
            let loaded = match self.life.store.load(key).await {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.life.cache.abandon_load(ticket);
                    return Err(error.into());
                }
            };
            let _room = match self.room(access.records()).await {
                Ok(room) => room,
                Err(trouble) => {
                    self.life.cache.abandon_load(ticket);
                    return Err(trouble);
                }
            };
            let now = self.life.clock.now();
            let accesses = [access];
            if let Ok(mut outcomes) = self.life.cache.admit(ticket, loaded, &accesses, &now) {
                let outcome = outcomes.pop().expect("one for each");
                return Ok(self.follow(key, &access, outcome));
            }
        }
        Err(Trouble::Touched)
    }

    pub async fn delete_user(self, user: UserId) {
        let deleted = self.deleted(user).await;
        let number = self.number;
        self.trace.note(|| format!("call {number}: deletion of {user}: {deleted:?}"));
    }

    async fn deleted(&self, user: UserId) -> Result<Option<Sequence>, Trouble> {
        let record = {
            let _room = self.room(1).await?;
            match self.life.cache.delete_user(user, &self.life.clock.now()) {
                Ok((version, record)) => {
                    self.history.borrow_mut().delete_user(user, version, record);
                    record
                }
                Err(_) => return Ok(None),
            }
        };
        self.shown(Some(record), record).await?;
        Ok(Some(record))
    }

    pub async fn list(self, user: UserId) {
        let listed = self.listed(user).await;
        let number = self.number;
        self.trace.note(|| format!("call {number}: list of {user}: {listed:?}"));
    }

    async fn listed(&self, user: UserId) -> Result<usize, Trouble> {
        let begun = self.history.borrow().begin_list(user);
        let mut overlaid: BTreeMap<Key, View> = BTreeMap::new();
        let (mut after, mut unflushed, mut deleted_at) = (None, None, None);
        loop {
            let page = self.life.cache.overlay(user, after, OVERLAY_KEYS);
            unflushed = unflushed.max(page.unflushed);
            deleted_at = deleted_at.max(page.deleted_at);
            overlaid.extend(page.rows);
            after = page.resume_after;
            if after.is_none() {
                break;
            }
        }
        let page = self.life.store.load_user(user, None, usize::MAX).await?;
        let deleted_at = deleted_at.max(page.deleted_at);
        let mut rows = overlaid;
        for row in page.rows {
            let held = rows.get(&row.key).map(|view| view.version);
            if held < Some(row.state.version()) {
                rows.insert(row.key, row.state.view());
            }
        }
        rows.retain(|_, view| deleted_at.is_none_or(|at| view.version > at));
        let made = self.history.borrow().follow_list(&begun, &rows);
        self.shown(unflushed, made).await?;
        Ok(rows.len())
    }
}
