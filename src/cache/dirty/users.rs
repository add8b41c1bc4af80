//! Which marks are a user's: the few of most users in a chain through them, unordered, and the many
//! of a few users in order besides.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasher as _,
    hint::black_box,
};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::slab::{Links, Place, Slab};
use crate::model::{Key, UserId};

/// A user with as many marks gets an ordered set of them.
const CROWD: u32 = 64;
/// With as few the set goes again.
const CROWD_LEFT: u32 = CROWD / 4;

/// The chain of one user.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: Place,
    len: u32,
}

/// The marks of each user.
#[derive(Debug, Default)]
pub(super) struct Users {
    hasher: DefaultHashBuilder,
    chains: HashTable<Chain>,
    crowds: HashMap<UserId, BTreeSet<Key>>,
}

impl Users {
    /// Puts the mark of `key` at `place` among those of its user. The key is not read from there: a
    /// slot just written is still on its way to the cache.
    pub fn add(&mut self, slab: &mut Slab, place: Place, key: Key) {
        let hasher = &self.hasher;
        let entry = self.chains.entry(
            hasher.hash_one(key.user),
            |chain| slab[chain.first].key.user == key.user,
            |chain| hasher.hash_one(slab[chain.first].key.user),
        );
        let len = match entry {
            Entry::Vacant(vacant) => {
                vacant.insert(Chain { first: place, len: 1 });
                return;
            }
            Entry::Occupied(mut chain) => {
                let chain = chain.get_mut();
                slab[chain.first].mates.before = place;
                slab[place].mates = Links { before: Place::NONE, after: chain.first };
                *chain = Chain { first: place, len: chain.len + 1 };
                chain.len
            }
        };
        if len == CROWD {
            self.crowds.insert(key.user, chained(slab, place).collect());
            return;
        }
        let crowd = self.crowds.get_mut(&key.user).filter(|_| len > CROWD_LEFT);
        if let Some(crowd) = crowd {
            crowd.insert(key);
        }
    }

    /// Brings near what another mark of the user would touch.
    pub fn look_up(&self, slab: &Slab, user: UserId) {
        let hash = self.hasher.hash_one(user);
        let chain = self.chains.find(hash, |chain| slab[chain.first].key.user == user);
        black_box(chain.map(|chain| chain.len));
    }

    /// Takes the mark at `place`, which is about to go, from among those of its user.
    pub fn remove(&mut self, slab: &mut Slab, place: Place) {
        let key = slab[place].key;
        let Links { before, after } = slab[place].mates;
        let hash = self.hasher.hash_one(key.user);
        let found = self.chains.find_entry(hash, |chain| slab[chain.first].key.user == key.user);
        let Ok(mut chain) = found else { return };
        if before.is_some() {
            slab[before].mates.after = after;
        }
        if after.is_some() {
            slab[after].mates.before = before;
        }
        let Chain { first, len } = *chain.get();
        if len == 1 {
            chain.remove();
        } else {
            let first = if first == place { after } else { first };
            *chain.get_mut() = Chain { first, len: len - 1 };
        }
        if !self.crowds.is_empty() {
            self.leave_crowd(&key, len - 1);
        }
    }

    fn leave_crowd(&mut self, key: &Key, left: u32) {
        if left < CROWD_LEFT {
            self.crowds.remove(&key.user);
        } else if let Some(crowd) = self.crowds.get_mut(&key.user) {
            crowd.remove(key);
        }
    }

    /// The next `limit` keys of the user above `after`, in order.
    pub fn keys(&self, slab: &Slab, user: UserId, after: Option<Key>, limit: usize) -> Vec<Key> {
        // The lowest that there can be is a key too.
        let is_behind = |key: &Key| after.is_none_or(|after| *key > after);
        if let Some(crowd) = self.crowds.get(&user) {
            let from = after.unwrap_or(Key::lowest_of(user)).max(Key::lowest_of(user));
            let range = crowd.range(from..).filter(|key| is_behind(key));
            return range.take(limit).copied().collect();
        }
        let hash = self.hasher.hash_one(user);
        let chain = self.chains.find(hash, |chain| slab[chain.first].key.user == user);
        let Some(chain) = chain else { return Vec::new() };
        let mut keys: Vec<Key> = chained(slab, chain.first).filter(is_behind).collect();
        keys.sort_unstable();
        keys.truncate(limit);
        keys
    }

    /// Panics where these are not the marks of the slab.
    pub fn self_check(&self, slab: &Slab) {
        let mut marks = 0;
        for chain in &self.chains {
            let user = slab[chain.first].key.user;
            let mut keys: Vec<Key> = chained(slab, chain.first).collect();
            assert!(keys.iter().all(|key| key.user == user), "the chain of {user:?}");
            assert_eq!(keys.len(), chain.len as usize, "the chain of {user:?}");
            if let Some(crowd) = self.crowds.get(&user) {
                keys.sort_unstable();
                assert!(crowd.iter().eq(&keys), "the crowd of {user:?}");
            } else {
                assert!(chain.len < CROWD, "{user:?} has {} marks and no set", chain.len);
            }
            marks += keys.len();
        }
        assert_eq!(marks, slab.len(), "marks of all users");
        for user in self.crowds.keys() {
            let hash = self.hasher.hash_one(*user);
            let chain = self.chains.find(hash, |chain| slab[chain.first].key.user == *user);
            assert!(chain.is_some(), "{user:?} has a set and no marks");
        }
    }
}

fn chained(slab: &Slab, first: Place) -> impl Iterator<Item = Key> {
    let mut place = first;
    std::iter::from_fn(move || {
        let mark = place.is_some().then(|| &slab[place])?;
        place = mark.mates.after;
        Some(mark.key)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::slab::{Mark, Stage},
        *,
    };
    use crate::model::{ChannelId, Sequence};

    fn mark(key: Key) -> Mark {
        let (queue, mates) = (Links::NONE, Links::NONE);
        let (first, latest) = (Sequence::ZERO, Sequence::ZERO);
        let stage = Stage::Waiting;
        Mark { key, since_ms: 0, first, latest, queue, mates, stage, urgent: false }
    }

    /// Up and down across both bounds, in an order that is not that of the keys.
    #[test]
    fn keys_of_a_user_come_in_order_however_many_there_are() {
        let user = UserId::new(7).unwrap();
        let other = UserId::new(8).unwrap();
        let key = |user, channel| Key::channel(user, ChannelId::new(channel).unwrap());
        let (mut slab, mut users) = (Slab::new(), Users::default());
        let mut places = Vec::new();
        for number in 0..200_u64 {
            let channel = number * 37 % 200 + 1;
            places.push(slab.insert(mark(key(user, channel))));
            users.add(&mut slab, places[number as usize], key(user, channel));
            let place = slab.insert(mark(key(other, channel)));
            users.add(&mut slab, place, key(other, channel));
            users.self_check(&slab);
        }
        let of = |users: &Users, slab: &Slab, after: u64| -> Vec<u64> {
            let keys = users.keys(slab, user, Some(key(user, after)), 3);
            keys.iter().map(|key| key.channel.as_u64()).collect()
        };
        assert_eq!(of(&users, &slab, 100), [101, 102, 103]);
        assert_eq!(of(&users, &slab, 199), [200]);
        assert_eq!(users.keys(&slab, user, None, 2), [key(user, 1), key(user, 2)]);
        for (left, place) in places.into_iter().enumerate().rev() {
            users.remove(&mut slab, place);
            slab.remove(place);
            users.self_check(&slab);
            assert_eq!(users.keys(&slab, user, None, 1_000).len(), left);
        }
    }
}
