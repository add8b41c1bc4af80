//! The shards behind their locks. Where there are many, neighbours share one, so that what a large
//! call asks of a stripe is looked up together and its cache misses overlap: a locked instruction
//! of the processor waits for all misses before it, and each lock taken is an end of that.

use std::ops::Range;

use super::{shard::Shard, sync::Mutex};

/// Locks of a cache, at most. A call of a thousand keys asks about 16 of each, and threads seldom
/// meet: `benches/contention.rs` has what it costs them.
const STRIPES_MAX: usize = 64;

/// All shards in order, one lock to each stripe of them.
pub(super) struct Stripes {
    stripes: Box<[Stripe]>,
    shards: usize,
}

/// Neighbours under one lock.
// Alone in its cache lines, of which processors fetch two at a time: who takes one lock does not
// take the line from who holds another.
#[repr(align(128))]
struct Stripe {
    /// Index of the first of them.
    first: usize,
    // The lock guards everything about the users of these shards: LRUs, victims, dirty indexes,
    // tickets and versions. It is held for one access, or for a bounded run of keys.
    shards: Mutex<Box<[Shard]>>,
}

impl Stripes {
    /// So many `shards`, each made from its index.
    pub fn new(shards: usize, shard: impl Fn(usize) -> Shard) -> Self {
        let locks = shards.min(STRIPES_MAX);
        let first = |stripe: usize| (stripe * shards).div_ceil(locks);
        let stripe = |index| {
            let neighbours = (first(index)..first(index + 1)).map(&shard).collect();
            Stripe { first: first(index), shards: Mutex::new(neighbours) }
        };
        Self { stripes: (0..locks).map(stripe).collect(), shards }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Of shard `index`.
    fn stripe(&self, index: usize) -> usize {
        index * self.stripes.len() / self.shards
    }

    /// Holds the lock of shard `index`.
    pub fn with<R>(&self, index: usize, hold: impl FnOnce(&mut Shard) -> R) -> R {
        let stripe = &self.stripes[self.stripe(index)];
        hold(&mut stripe.shards.lock()[index - stripe.first])
    }

    /// Each shard under its lock, one after the other.
    pub fn each<'a, R>(
        &'a self,
        hold: impl Fn(&mut Shard) -> R + 'a,
    ) -> impl Iterator<Item = R> + 'a {
        (0..self.shards).map(move |index| self.with(index, &hold))
    }

    /// The indexes of the shards under the lock of shard `index`.
    pub fn neighbours(&self, index: usize) -> Range<usize> {
        let stripe = self.stripe(index);
        let end = self.stripes.get(stripe + 1).map_or(self.shards, |next| next.first);
        self.stripes[stripe].first..end
    }

    /// Holds the lock of all `neighbours`.
    pub fn with_all<R>(
        &self,
        neighbours: &Range<usize>,
        hold: impl FnOnce(&mut [Shard]) -> R,
    ) -> R {
        hold(&mut self.stripes[self.stripe(neighbours.start)].shards.lock())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{super::book::DirtyPlaces, *};
    use crate::{
        cache::{NoLog, sizing::ShardSizing},
        model::Version,
    };

    fn stripes(shards: usize) -> Stripes {
        let places = DirtyPlaces::new(1);
        Stripes::new(shards, |index| {
            // So that a shard tells which it is.
            let last = Version::from_micros(index as u64);
            let sizing = ShardSizing { channels: 1, other_kinds: 1 };
            Shard::new(sizing, last, Arc::clone(&places), Arc::new(NoLog))
        })
    }

    #[test]
    fn every_shard_is_behind_one_of_a_bounded_number_of_locks() {
        for shards in [1, 2, STRIPES_MAX, STRIPES_MAX + 1, 2 * STRIPES_MAX, 263, 1_000] {
            let stripes = stripes(shards);
            assert_eq!(stripes.shards(), shards);
            assert_eq!(stripes.stripes.len(), STRIPES_MAX.min(shards));
            let all: Vec<u64> = stripes.each(|shard| shard.book.last.as_micros()).collect();
            assert_eq!(all, (0..shards as u64).collect::<Vec<_>>());
            let mut next = 0;
            while next < shards {
                let near = stripes.neighbours(next);
                assert!(near.start == next && near.clone().all(|i| stripes.neighbours(i) == near));
                let held: Vec<u64> = stripes.with_all(&near, |shards| {
                    shards.iter().map(|shard| shard.book.last.as_micros()).collect()
                });
                assert_eq!(held, near.clone().map(|index| index as u64).collect::<Vec<_>>());
                next = near.end;
            }
        }
    }
}
