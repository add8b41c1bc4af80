//! Many accesses at once, stripe by stripe: each is locked once for all that is asked of it, and
//! every entry is looked up before the first is changed, so that their cache misses overlap.

use super::{
    Cache, KEYS_PER_HOLD_MAX,
    answer::{Access, Leftovers, Outcome},
    shard::Shard,
};
use crate::{
    clock::Now,
    model::{Key, ReadState},
};

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

    /// Does those of `accesses` whose `turns` are at the front and share a lock, under one hold of
    /// it; how many they are: at least one, at most [`KEYS_PER_HOLD_MAX`]. `each` is called
    /// with the place of each of them in turn, and decides whether it is done at all.
    pub fn access_turns(
        &self,
        accesses: &[(Key, Access)],
        turns: &[Turn],
        now: &Now,
        mut each: impl FnMut(usize, Attempt<'_>),
    ) -> usize {
        let Some(first) = turns.first() else { return 0 };
        let near = self.shards.neighbours(first.shard());
        let here = turns.iter().take(KEYS_PER_HOLD_MAX);
        let run = &turns[..here.take_while(|turn| near.contains(&turn.shard())).count()];
        // Declared before the lock, so that it is dropped after it.
        let mut leftovers = Leftovers::default();
        self.shards.with_all(&near, |shards| {
            let shard_of = |turn: &Turn| turn.shard() - near.start;
            if run.len() > 1 {
                look_up(shards, run.iter().map(|turn| (shard_of(turn), &accesses[turn.place()])));
            }
            for turn in run {
                let (key, access) = &accesses[turn.place()];
                let (shard, leftovers) = (&mut shards[shard_of(turn)], &mut leftovers);
                each(turn.place(), Attempt { shard, key, access, now, leftovers });
            }
        });
        run.len()
    }
}

/// Brings near what each access touches, in passes in which none waits for the one before it, as
/// changes would.
fn look_up<'a>(
    shards: &mut [Shard],
    accesses: impl Iterator<Item = (usize, &'a (Key, Access))> + Clone,
) {
    let mut wanted = [false; KEYS_PER_HOLD_MAX];
    for ((shard, (key, access)), wanted) in accesses.clone().zip(&mut wanted) {
        *wanted = shards[shard].will_look_at_mark(key, access);
    }
    for ((shard, (key, _)), _) in accesses.clone().zip(wanted).filter(|(_, wanted)| *wanted) {
        shards[shard].book.dirty.look_up(key);
    }
    // Writes to the entry's neighbours in the order of use, which a change would have to wait for:
    // it reads what it has just written, and writes take effect in their order. Each access
    // promotes anew, so that in the end the order is theirs; one that is put off has lost nothing.
    for (shard, (key, _)) in accesses {
        shards[shard].resident.promote(key);
    }
}

impl Shard {
    /// Whether the access will look for the key's mark in the dirty index, nearly. Without a branch
    /// on what is in the entry: guessed wrong it would undo the lookups behind it.
    fn will_look_at_mark(&self, key: &Key, access: &Access) -> bool {
        let is_dirty = self.resident.peek(key).is_some_and(ReadState::holder_mark);
        match access {
            Access::Read => is_dirty,
            Access::Update(_) => !is_dirty | self.book.dirty.has_records(),
        }
    }

    /// Brings the entry near.
    pub(super) fn look_up(&self, key: &Key) {
        std::hint::black_box(self.resident.peek(key).map(|state| state.version()));
    }
}
