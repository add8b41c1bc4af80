//! What one watch has in its hands, counted against what all watches may have.

use std::{collections::VecDeque, sync::Arc};

use super::Pool;

/// Emptied after it once held more than this, it gives its memory back.
pub(super) const KEPT_CAPACITY: usize = 256;

/// A queue whose items each take a place of the pool.
pub(super) struct Charged<T> {
    pool: Arc<Pool>,
    items: VecDeque<T>,
}

impl<T> Charged<T> {
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, items: VecDeque::new() }
    }

    pub fn push(&mut self, item: T) {
        self.pool.take(1);
        self.items.push_back(item);
    }

    /// Takes items over that have their places already.
    pub fn adopt(&mut self, items: impl Iterator<Item = T>) {
        self.items.extend(items);
    }

    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.pool.give_back(1);
        if self.items.is_empty() && self.items.capacity() > KEPT_CAPACITY {
            self.items = VecDeque::new();
        }
        Some(item)
    }
}

impl<T> Drop for Charged<T> {
    fn drop(&mut self) {
        self.pool.give_back(self.items.len());
    }
}
