//! The changes that wait for one watch.
//!
//! Shards push, under their locks; the watch takes out. The queue's lock is the innermost: under it
//! nothing else is locked, and nobody waits.

use std::{collections::VecDeque, mem, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Pool,
    charged::{Charged, KEPT_CAPACITY},
};
use crate::{
    cache::{Change, Watcher},
    sabotage::{self, Fault},
};

/// The watch did not take its changes out in time: some are missing from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

pub(super) struct Queue {
    pool: Arc<Pool>,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// Nothing is taken in any more.
    overflown: bool,
}

impl Queue {
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, waiting: Mutex::default(), filled: Notify::new() }
    }

    /// Moves up to `limit` changes, with their places, to the end of `changes`; how many waited.
    pub fn drain(&self, limit: usize, changes: &mut Charged<Change>) -> Result<usize, Overflow> {
        // Declared before the lock, so that its memory goes after it.
        let _emptied;
        let mut waiting = self.waiting.lock();
        if waiting.overflown {
            return Err(Overflow);
        }
        let depth = waiting.changes.len();
        let taken = depth.min(limit);
        changes.adopt(waiting.changes.drain(..taken));
        if taken == depth && waiting.changes.capacity() > KEPT_CAPACITY {
            _emptied = mem::take(&mut waiting.changes);
        }
        Ok(depth)
    }

    /// Returns once there may be something to take out, or an overflow to see.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Forgets what waits.
    fn clear(&self) {
        let changes = mem::take(&mut self.waiting.lock().changes);
        self.pool.give_back(changes.len());
    }
}

impl Watcher for Queue {
    fn take(&self, change: Change) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.overflown {
            return false;
        }
        if waiting.changes.len() >= self.pool.share() {
            waiting.overflown = !sabotage::is(Fault::WatchSkips);
            return true;
        }
        waiting.changes.push_back(change);
        self.pool.take(1);
        // Whoever takes changes out looks again before it waits: one call for all of them.
        waiting.changes.len() == 1
    }

    fn wake(&self) {
        // Whoever does not read may never come to free what waits for it.
        if self.waiting.lock().overflown {
            self.clear();
        }
        self.filled.notify_one();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntGauge;

    use super::*;
    use crate::model::{Cause, Sequence, UserId, Version};

    fn pool(queue_max: usize) -> Arc<Pool> {
        let waiting = IntGauge::new("waiting", "Waiting.").expect("it is a name");
        Arc::new(Pool::new(1, 1_000, queue_max, waiting))
    }

    fn change(version: u64) -> Change {
        Change {
            user: UserId::new(1).expect("not 0"),
            state: None,
            cause: Cause::Resync,
            version: Version::from_micros(version),
            record: Sequence::ZERO,
        }
    }

    #[test]
    fn changes_come_out_in_their_order_and_give_their_places_back() {
        let pool = pool(1_000);
        let queue = Queue::new(Arc::clone(&pool));
        let calls: Vec<bool> = (1..=5).map(|version| queue.take(change(version))).collect();
        assert_eq!(calls, [true, false, false, false, false], "one call for all");
        let mut changes = Charged::new(Arc::clone(&pool));
        assert_eq!(queue.drain(3, &mut changes), Ok(5));
        assert_eq!(queue.drain(3, &mut changes), Ok(2));
        assert_eq!(pool.waiting(), 5, "they are still in memory");
        for version in 1..=5 {
            assert_eq!(changes.pop(), Some(change(version)));
            assert_eq!(pool.waiting(), 5 - version as usize);
        }
        queue.take(change(6));
        drop(queue);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn an_overflow_is_final_and_keeps_nothing() {
        let pool = pool(2);
        let queue = Queue::new(Arc::clone(&pool));
        let calls: Vec<bool> = (1..=3).map(|version| queue.take(change(version))).collect();
        assert_eq!(calls, [true, false, true]);
        queue.wake();
        assert_eq!(pool.waiting(), 0);
        queue.take(change(4));
        assert_eq!(pool.waiting(), 0);
        assert_eq!(queue.drain(1, &mut Charged::new(pool)), Err(Overflow));
    }
}
