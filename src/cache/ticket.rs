//! Load tickets: how a shard knows that what a load brings is not stale (I5).

use hashbrown::HashMap;

use crate::model::{Key, UserId};

/// The right to admit what a load brings, unless the key was touched since it was given out.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket must be given back, with what was loaded or without"]
pub struct Ticket {
    key: Key,
    generation: u64,
}

impl Ticket {
    /// The key it was given out for.
    pub fn key(&self) -> Key {
        self.key
    }
}

/// The loads under way for keys of one shard.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    by_key: HashMap<Key, Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    outstanding: u32,
    generation: u64,
}

impl Tickets {
    pub fn issue(&mut self, key: Key) -> Ticket {
        let loads = self.by_key.entry(key).or_default();
        loads.outstanding += 1;
        Ticket { key, generation: loads.generation }
    }

    /// Takes a ticket back; whether it is still good.
    pub fn redeem(&mut self, ticket: Ticket) -> bool {
        let Some(loads) = self.by_key.get_mut(&ticket.key) else { return false };
        let good = loads.generation == ticket.generation;
        loads.outstanding -= 1;
        if loads.outstanding == 0 {
            self.by_key.remove(&ticket.key);
        }
        good
    }

    /// The key's state is decided in memory now: what a load under way brings is older.
    pub fn void(&mut self, key: &Key) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(loads) = self.by_key.get_mut(key) {
            loads.generation += 1;
        }
    }

    /// As [`Self::void`] for every key of the user. Loads under way are few and bounded.
    pub fn void_user(&mut self, user: UserId) {
        for (_, loads) in self.by_key.iter_mut().filter(|(key, _)| key.user == user) {
            loads.generation += 1;
        }
    }

    pub fn outstanding(&self) -> usize {
        self.by_key.values().map(|loads| loads.outstanding as usize).sum()
    }
}
