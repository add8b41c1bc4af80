//! The states in memory, in two LRUs: channels under a key of 16 bytes, all other kinds apart.

use lru::LruCache;

use super::sizing::{ShardSizing, table_capacity};
use crate::model::{ChannelId, Key, Kind, ReadState, UserId};

type ChannelKey = (UserId, ChannelId);

// An entry of the first LRU is this key, a state of 32 bytes and two links: 64 bytes. One byte
// more would make it 80.
const _: () = assert!(size_of::<ChannelKey>() + size_of::<ReadState>() == 48);

/// Two LRUs behind one face. They never evict by themselves: the shard takes what has to go.
pub(super) struct Resident {
    channels: LruCache<ChannelKey, ReadState>,
    other_kinds: LruCache<Key, ReadState>,
}

impl Resident {
    pub fn new(sizing: ShardSizing) -> Self {
        // One place more than is ever filled: an entry goes in before another one leaves.
        Self {
            channels: LruCache::new(table_capacity(sizing.channels)),
            other_kinds: LruCache::new(table_capacity(sizing.other_kinds)),
        }
    }

    pub fn len(&self) -> usize {
        self.channels.len() + self.other_kinds.len()
    }

    pub fn len_of_channels(&self) -> usize {
        self.channels.len()
    }

    pub fn len_of_other_kinds(&self) -> usize {
        self.other_kinds.len()
    }

    /// The state, promoted to most recently used.
    pub fn promote(&mut self, key: &Key) -> Option<&mut ReadState> {
        match key.kind {
            Kind::Channel => self.channels.get_mut(&(key.user, key.channel)),
            _ => self.other_kinds.get_mut(key),
        }
    }

    /// The state, left where it is in the order.
    pub fn peek_mut(&mut self, key: &Key) -> Option<&mut ReadState> {
        match key.kind {
            Kind::Channel => self.channels.peek_mut(&(key.user, key.channel)),
            _ => self.other_kinds.peek_mut(key),
        }
    }

    pub fn peek(&self, key: &Key) -> Option<&ReadState> {
        match key.kind {
            Kind::Channel => self.channels.peek(&(key.user, key.channel)),
            _ => self.other_kinds.peek(key),
        }
    }

    /// Puts a state in as most recently used; returns the one it replaced.
    pub fn push(&mut self, key: Key, state: ReadState) -> Option<ReadState> {
        match key.kind {
            Kind::Channel => self.channels.push((key.user, key.channel), state).map(|(_, old)| old),
            _ => self.other_kinds.push(key, state).map(|(_, old)| old),
        }
    }

    pub fn pop(&mut self, key: &Key) -> Option<ReadState> {
        match key.kind {
            Kind::Channel => self.channels.pop(&(key.user, key.channel)),
            _ => self.other_kinds.pop(key),
        }
    }

    pub fn pop_oldest_channel(&mut self) -> Option<(Key, ReadState)> {
        let ((user, channel), state) = self.channels.pop_lru()?;
        Some((Key::channel(user, channel), state))
    }

    pub fn pop_oldest_other_kind(&mut self) -> Option<(Key, ReadState)> {
        self.other_kinds.pop_lru()
    }

    /// Shows the `places` entries behind the first `step * places` from either end of each LRU;
    /// whether there are as many in one of them.
    pub fn at_step(
        &self,
        step: usize,
        places: usize,
        mut each: impl FnMut(Key, &ReadState),
    ) -> bool {
        let passed = step * places;
        let channel = |((user, channel), state): (&ChannelKey, _)| {
            each(Key::channel(*user, *channel), state);
        };
        from_ends(self.channels.iter(), passed, places).for_each(channel);
        let other = |(key, state): (&Key, _)| each(*key, state);
        from_ends(self.other_kinds.iter(), passed, places).for_each(other);
        2 * passed < self.channels.len().max(self.other_kinds.len())
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key, &ReadState)> {
        let channels =
            self.channels.iter().map(|((user, channel), s)| (Key::channel(*user, *channel), s));
        channels.chain(self.other_kinds.iter().map(|(key, state)| (*key, state)))
    }
}

/// The `places` entries behind the first `passed` from the one end, then from the other, each once.
fn from_ends<I>(entries: I, passed: usize, places: usize) -> impl Iterator<Item = I::Item>
where
    I: DoubleEndedIterator + ExactSizeIterator + Clone,
{
    let left = entries.len().saturating_sub(2 * passed);
    let front = left.min(places);
    let back = (left - front).min(places);
    let newest = entries.clone().skip(passed).take(front);
    newest.chain(entries.rev().skip(passed).take(back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_from_both_ends_show_every_entry_once() {
        for count in [0, 1, 7, 8, 9, 15, 16, 17, 40] {
            let entries: Vec<usize> = (0..count).collect();
            let mut shown: Vec<usize> = (0..=count)
                .flat_map(|step| from_ends(entries.iter().copied(), step * 4, 4))
                .collect();
            shown.sort_unstable();
            assert_eq!(shown, entries);
        }
    }
}
