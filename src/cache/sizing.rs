//! How many entries a cache holds, in how many shards, in tables of which size.
//!
//! Facts behind the numbers: one entry is a heap node of 64 bytes and 17 bytes for each of its
//! table's buckets. A table loaded above 7/16 doubles under eviction churn; at 7/16 it stays, and
//! the entry costs 64 + 17 * 16/7 = 103 bytes, 105 as measured (`benches/cache.rs`). On huge pages,
//! which the allocator asks for and which make accesses 10 to 40 % faster, a table takes 16 % more
//! than it asked for: 111 to 112.

use std::num::NonZeroUsize;

/// Entries per shard where their number is chosen for the caller: both LRUs fill 7/16 of their
/// tables of 2^16 and 2^12 buckets, short of the one that goes in before another leaves.
pub const SHARD_ENTRIES: usize = 28_671 + 1_791;
/// Memory of a clean entry without an extra part.
pub const ENTRY_BYTES: usize = 113;
/// Memory of a dirty entry beyond that: its place in the dirty index (about 94), in the queue of
/// those due (up to 64), and among the victims.
pub const DIRTY_BYTES: usize = 184;
/// The share of the capacity kept for states that are not about channels: just below that of
/// their table, 1/16, of the buckets.
const OTHER_KINDS_SHARE: usize = 17;

/// The bounds of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// States in memory at most, victims included. One whose extra part is large takes the place
    /// of several.
    pub entries: usize,
    /// Shards, each with tables of its own. Neighbours share a lock where there are many.
    pub shards: usize,
    /// States that are not yet in the store, at most (I6).
    pub dirty_limit: usize,
}

/// The bounds of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardSizing {
    pub channels: usize,
    pub other_kinds: usize,
}

impl Sizing {
    /// Bounds for `entries` states; shards and dirty limit are chosen where not given.
    pub fn for_entries(
        entries: NonZeroUsize,
        shards: Option<NonZeroUsize>,
        dirty_limit: Option<NonZeroUsize>,
    ) -> Self {
        let entries = entries.get().max(2);
        let chosen = entries.div_ceil(SHARD_ENTRIES);
        let shards = shards.map_or(chosen, NonZeroUsize::get).min(entries / 2);
        let dirty_limit = dirty_limit.map_or(entries / 2, NonZeroUsize::get).min(entries);
        Self { entries, shards, dirty_limit }
    }

    /// Bounds that keep within `bytes` when the cache is full and as dirty as it may be.
    pub fn for_memory(
        bytes: usize,
        shards: Option<NonZeroUsize>,
        dirty_limit: Option<NonZeroUsize>,
    ) -> Self {
        // However high the limit, no more can be dirty than there is.
        let all_dirty = bytes / (ENTRY_BYTES + DIRTY_BYTES);
        let entries = match dirty_limit.map(|limit| limit.get().saturating_mul(DIRTY_BYTES)) {
            Some(dirty_bytes) => (bytes.saturating_sub(dirty_bytes) / ENTRY_BYTES).max(all_dirty),
            None => bytes / (ENTRY_BYTES + DIRTY_BYTES / 2),
        };
        let entries = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        Self::for_entries(entries, shards, dirty_limit)
    }

    /// Memory that a full cache takes, as dirty as it may be.
    pub fn bytes(&self) -> usize {
        self.entries * ENTRY_BYTES + self.dirty_limit * DIRTY_BYTES
    }

    pub(super) fn of_shard(&self, index: usize) -> ShardSizing {
        let entries = self.entries / self.shards + usize::from(index < self.entries % self.shards);
        let other_kinds = (entries / OTHER_KINDS_SHARE).max(1);
        ShardSizing { channels: entries - other_kinds, other_kinds }
    }
}

/// The capacity to build a table with that stays flat under churn at `entries`: 7/8 of the power
/// of two of which `entries` and one more, as an entry goes in before another leaves, are at most
/// 7/16.
pub(super) fn table_capacity(entries: usize) -> NonZeroUsize {
    let buckets = ((entries + 1) * 16).div_ceil(7).next_power_of_two().max(8);
    NonZeroUsize::new(buckets / 8 * 7).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: usize) -> Sizing {
        Sizing::for_entries(NonZeroUsize::new(n).unwrap(), None, None)
    }

    #[test]
    fn shards_sum_up_to_the_capacity() {
        for n in [2, 3, 17, 2_000, SHARD_ENTRIES, SHARD_ENTRIES + 1, 1_000_000] {
            for shards in [None, NonZeroUsize::new(1), NonZeroUsize::new(7)] {
                let sizing = Sizing::for_entries(NonZeroUsize::new(n).unwrap(), shards, None);
                let sum: usize = (0..sizing.shards)
                    .map(|index| sizing.of_shard(index))
                    .map(|shard| shard.channels + shard.other_kinds)
                    .sum();
                assert_eq!(sum, n);
                assert!((0..sizing.shards).all(|index| sizing.of_shard(index).channels > 0));
            }
        }
    }

    #[test]
    fn a_full_automatic_shard_fills_both_of_its_tables() {
        assert_eq!(entries(SHARD_ENTRIES * 4).shards, 4);
        let full = entries(SHARD_ENTRIES).of_shard(0);
        for (entries, buckets) in [(full.channels, 1 << 16), (full.other_kinds, 1 << 12)] {
            assert_eq!(table_capacity(entries).get(), buckets / 8 * 7);
            assert_eq!(table_capacity(entries + 1).get(), buckets / 8 * 14);
        }
    }

    /// A table that has to make room grows, unless what it holds with the newcomer is at most half
    /// of its capacity: then it tidies up in place.
    #[test]
    fn no_table_grows_under_churn() {
        for entries in (0..5_000).chain(28_600..28_700) {
            assert!(entries < table_capacity(entries).get() / 2, "{entries} entries");
        }
    }

    #[test]
    fn memory_bounds_what_a_full_dirty_cache_takes() {
        for bytes in [64 << 20, 512 << 20, 8 << 30] {
            let sizing = Sizing::for_memory(bytes, None, None);
            assert!(sizing.bytes() <= bytes);
            assert!(sizing.bytes() > bytes / 10 * 9);
        }
    }

    #[test]
    fn a_dirty_limit_above_what_memory_holds_leaves_a_cache_that_may_be_all_dirty() {
        for limit in [1 << 20, 1 << 22, usize::MAX] {
            let sizing = Sizing::for_memory(128 << 20, None, NonZeroUsize::new(limit));
            assert_eq!(sizing.dirty_limit, sizing.entries);
            assert!(sizing.bytes() <= 128 << 20);
            assert!(sizing.bytes() > (128 << 20) / 10 * 9);
        }
    }
}
