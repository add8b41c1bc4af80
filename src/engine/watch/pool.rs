//! What all watches share: how many users are watched, and how many changes wait for those who do
//! not read.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit};

/// One queue may take up to this part of what is left of the pool. So many slow readers leave each
/// other less and less, and there is always some left for those who read.
const SHARE_OF_FREE: usize = 4;

/// Users that are caught up with at the same time: each takes memory before it is known how much.
const CATCH_UPS_MAX: usize = 64;

/// Bounds of all watches together, and what of them is taken.
#[derive(Debug)]
pub struct Pool {
    users_max: usize,
    changes_max: usize,
    queue_max: usize,
    // Relaxed throughout: these guard memory, not other data. Shards that push at the same moment
    // may pass the bound by as many changes as there are threads.
    users: AtomicUsize,
    waiting: IntGauge,
    catch_ups: Semaphore,
}

impl Pool {
    /// For at most `users_max` watched users, `changes_max` waiting changes and, of them,
    /// `queue_max` of one watch; `waiting` counts them.
    pub fn new(users_max: usize, changes_max: usize, queue_max: usize, waiting: IntGauge) -> Self {
        let (users, catch_ups) = (AtomicUsize::new(0), Semaphore::new(CATCH_UPS_MAX));
        Self { users_max, changes_max, queue_max, users, waiting, catch_ups }
    }

    /// Waits for a turn to look at a user's states.
    pub async fn catch_up(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.catch_ups.acquire().await.ok()
    }

    /// Takes places for as many users; whether there were so many.
    pub fn admit(&self, users: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(users).filter(|sum| *sum <= self.users_max);
        self.users.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    pub fn leave(&self, users: usize) {
        self.users.fetch_sub(users, Ordering::Relaxed);
    }

    /// How many changes one watch may have now.
    pub fn share(&self) -> usize {
        let free = self.changes_max.saturating_sub(self.waiting());
        free.min((free / SHARE_OF_FREE).max(1)).min(self.queue_max)
    }

    pub fn take(&self, changes: usize) {
        self.waiting.add(changes as i64);
    }

    pub fn give_back(&self, changes: usize) {
        self.waiting.sub(changes as i64);
    }

    /// Changes that wait now, of all watches.
    pub fn waiting(&self) -> usize {
        self.waiting.get().max(0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(users_max: usize, changes_max: usize, queue_max: usize) -> Pool {
        let waiting = IntGauge::new("waiting", "Waiting.").expect("it is a name");
        Pool::new(users_max, changes_max, queue_max, waiting)
    }

    #[test]
    fn however_many_do_not_read_there_is_some_left_for_one_who_does() {
        let pool = pool(1, 1_000, 1_000);
        let mut queues = vec![0_usize; 200];
        for _ in 0..1_000 {
            for queue in &mut queues {
                if *queue < pool.share() {
                    *queue += 1;
                    pool.take(1);
                }
            }
        }
        assert!(pool.waiting() < 1_000, "{}", pool.waiting());
        assert!(pool.share() > 0);
        pool.give_back(pool.waiting());
        assert_eq!(pool.share(), 250);
    }

    #[test]
    fn one_queue_has_a_bound_of_its_own_and_an_empty_pool_gives_nothing() {
        let pool = pool(1, 1_000, 10);
        assert_eq!(pool.share(), 10);
        pool.take(1_000);
        assert_eq!(pool.share(), 0);
    }

    #[test]
    fn users_are_admitted_all_or_none() {
        let pool = pool(10, 1, 1);
        assert!(pool.admit(8));
        assert!(!pool.admit(3));
        assert!(!pool.admit(usize::MAX));
        assert!(pool.admit(2));
        pool.leave(8);
        assert!(pool.admit(8));
    }
}
