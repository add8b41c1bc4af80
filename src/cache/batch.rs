//! Many accesses at once, shard by shard: each shard is locked once for all that is asked of it,
//! and every entry is looked up before the first is changed, so that their cache misses overlap.

use super::{
    Cache, KEYS_PER_HOLD_MAX,
    answer::{Access, Leftovers, Outcome},
    shard::Shard,
};
use crate::{clock::Now, model::Key};

/// The turn of one of many accesses. In order they are by shard, and within one as they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

impl Turn {
    fn new(shard: usize, place: usize) -> Self {
        Self((shard as u64) << 32 | place as u64)
    }

    fn shard(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Of its access among all.
    pub fn place(self) -> usize {
        self.0 as u32 as usize
    }
}

/// An access that may be done now, under the lock.
pub struct Attempt<'a> {
    shard: &'a mut Shard,
    leftovers: &'a mut Leftovers,
    key: &'a Key,
    access: &'a Access,
    now: &'a Now,
}

impl Attempt<'_> {
    /// As [`Cache::access`].
    pub fn make(self) -> Option<Outcome> {
        self.shard.access(self.key, self.access, self.now, self.leftovers)
    }
}

impl Cache {
    /// The turns of `accesses`, of which there are less than 2^32.
    pub fn turns(&self, accesses: &[(Key, Access)]) -> Vec<Turn> {
        let turn =
            |(place, (key, _)): (usize, &(Key, Access))| Turn::new(self.index_of(key.user), place);
        let mut turns: Vec<Turn> = accesses.iter().enumerate().map(turn).collect();
        turns.sort_unstable();
        turns
    }

    /// Does those of `accesses` whose `turns` are at the front and share a shard, under one hold of
    /// its lock; how many they are: at least one, at most [`KEYS_PER_HOLD_MAX`]. `each` is called
    /// with the place of each of them in turn, and decides whether it is done at all.
    pub fn access_turns(
        &self,
        accesses: &[(Key, Access)],
        turns: &[Turn],
        now: &Now,
        mut each: impl FnMut(usize, Attempt<'_>),
    ) -> usize {
        let Some(index) = turns.first().map(|turn| turn.shard()) else { return 0 };
        let here = turns.iter().take(KEYS_PER_HOLD_MAX).take_while(|turn| turn.shard() == index);
        let run = &turns[..here.count()];
        self.with_index(index, |shard, leftovers| {
            if run.len() > 1 {
                run.iter().for_each(|turn| shard.look_up(&accesses[turn.place()].0));
            }
            for turn in run {
                let (key, access) = &accesses[turn.place()];
                each(turn.place(), Attempt { shard, key, access, now, leftovers });
            }
        });
        run.len()
    }
}

impl Shard {
    /// Brings the entry near: lookups in a row do not wait for each other, as changes would.
    pub(super) fn look_up(&self, key: &Key) {
        std::hint::black_box(self.resident.peek(key).map(|state| state.version()));
    }
}
