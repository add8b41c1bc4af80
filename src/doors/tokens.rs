//! Who a token belongs to, found in a time that says nothing about the digests that are kept.
//!
//! To compare with every digest there is would do, and be too much: with ten thousand callers it
//! would cost more than the call itself, for whoever sends anything. So digests lie in buckets of
//! equal size, by a hash with a key that nobody knows, drawn anew with each table: which bucket is
//! looked into tells nothing about what is in it, and in the bucket everything is compared to the
//! end. A few callers have one bucket, and are all compared.

use std::hash::{BuildHasher as _, RandomState};

use super::Digest;

/// Up to this many digests lie in one bucket.
const ALONE_MAX: usize = 8;

/// The place of a caller in its list.
pub(super) type Place = u32;

/// The digests of all callers, each with the place of its caller.
#[derive(Debug)]
pub(super) struct Tokens {
    hasher: RandomState,
    /// Of each bucket.
    rows: usize,
    /// A power of two.
    buckets: usize,
    /// All buckets, one after the other.
    table: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    digest: Digest,
    /// The place and 1; 0 where the row is free.
    owner: u32,
}

impl Tokens {
    /// A table of these, no two of which are equal.
    pub fn new(tokens: &[(Digest, Place)]) -> Self {
        let hasher = RandomState::new();
        let buckets = match tokens.len() {
            0..=ALONE_MAX => 1,
            count => count.next_power_of_two(),
        };
        let mut filled = vec![Vec::new(); buckets];
        for (digest, place) in tokens {
            let bucket = bucket(&hasher, buckets, digest);
            filled[bucket].push(Row { digest: *digest, owner: place + 1 });
        }
        let rows = filled.iter().map(Vec::len).max().unwrap_or(0);
        let free = Row { digest: Digest::of(b""), owner: 0 };
        let mut table = Vec::with_capacity(rows * buckets);
        for mut bucket in filled {
            bucket.resize(rows, free);
            table.extend(bucket);
        }
        Self { hasher, rows, buckets, table }
    }

    /// Whose token has this digest.
    pub fn find(&self, digest: &Digest) -> Option<Place> {
        let first = bucket(&self.hasher, self.buckets, digest) * self.rows;
        let mut owner = 0;
        // To the end, and without a branch on what is found.
        for row in &self.table[first..first + self.rows] {
            owner |= row.owner & u32::from(row.digest.is(digest)).wrapping_neg();
        }
        owner.checked_sub(1)
    }
}

fn bucket(hasher: &RandomState, buckets: usize, digest: &Digest) -> usize {
    hasher.hash_one(digest.bytes()) as usize & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn each_is_found_and_no_other() {
        for count in [0, 1, 2, 8, 9, 100, 10_000] {
            let tokens: Vec<_> = (0..count).map(|number| (digest(number), number / 2)).collect();
            let table = Tokens::new(&tokens);
            for number in 0..count {
                assert_eq!(table.find(&digest(number)), Some(number / 2), "of {count}");
            }
            for number in count..count + 1_000 {
                assert_eq!(table.find(&digest(number)), None, "of {count}");
            }
        }
    }

    #[test]
    fn what_fills_free_rows_is_nobodys() {
        let tokens: Vec<_> = (0..100).map(|number| (digest(number), number)).collect();
        assert_eq!(Tokens::new(&tokens).find(&Digest::of(b"")), None);
    }

    #[test]
    fn buckets_are_equal_and_stay_small() {
        let tokens: Vec<_> = (0..10_000).map(|number| (digest(number), number)).collect();
        let table = Tokens::new(&tokens);
        assert_eq!(table.table.len(), table.rows * table.buckets);
        // Of 10,000 in 16,384 a bucket of 16 would come once in millions of tables.
        assert!(table.rows < 16, "{} in a bucket", table.rows);
        assert_eq!(Tokens::new(&tokens[..ALONE_MAX]).buckets, 1);
    }
}
