//! What a journal has that the store may lack, in chunks that go from hand to hand: its service was
//! deposed, and another owns the keyspace.
//!
//! A chunk is one byte of format, and then records as in a segment, without a checksum of their
//! own: where chunks rest has one.

use std::collections::BTreeMap;

use crate::model::{Key, ReadState, UserId, Version};

use super::{JournalError, Record, Recovery, error::Fault, frame::Frames};

const FORMAT: u8 = 1;
/// A chunk is closed once it has as many bytes; it is longer by one record at most.
pub const OFFER_CHUNK_BYTES: usize = 256 << 10;
/// Keys and deletions of users that are in memory at a time. Of more, the journal is read once for
/// each part.
const PART_MAX: usize = 200_000;

/// Some of what a journal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferChunk {
    /// Users that were deleted, up to a version. They come before the states.
    pub deletions: Vec<(UserId, Version)>,
    /// Of each key the last state, in the order of keys.
    pub states: Vec<(Key, ReadState)>,
}

/// A chunk cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableChunk(String);

impl OfferChunk {
    /// The records in it.
    pub fn records(&self) -> u64 {
        (self.deletions.len() + self.states.len()) as u64
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let deletions = self.deletions.iter().map(|(user, version)| (*user, *version));
        let mut bytes = vec![FORMAT];
        for (user, version) in deletions {
            super::put_deletion(&mut bytes, user, version);
        }
        for (key, state) in &self.states {
            super::put_state(&mut bytes, key, state);
        }
        bytes
    }

    /// What these bytes say.
    ///
    /// # Errors
    /// That they do not parse, or are of a newer release.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnreadableChunk> {
        let Some((&FORMAT, records)) = bytes.split_first() else {
            let format = bytes.first().map_or("none".to_owned(), u8::to_string);
            let words = format!("it has format {format}, and {FORMAT} is the one known here");
            return Err(UnreadableChunk(words));
        };
        let mut chunk = Self::default();
        for frame in Frames::of(records) {
            match frame.and_then(|frame| frame.decode()).map_err(unreadable)? {
                Record::State { key, state } => chunk.states.push((key, state)),
                Record::UserDeletion { user, version } => chunk.deletions.push((user, version)),
                other => return Err(UnreadableChunk(format!("{other:?} has no place in it"))),
            }
        }
        Ok(chunk)
    }
}

fn unreadable(fault: Fault) -> UnreadableChunk {
    UnreadableChunk(match fault {
        Fault::Damaged(what) => what,
        newer => format!("a newer release wrote it: {newer:?}"),
    })
}

/// The last word on each key and user, of as many of them as may be: the first behind those of the
/// parts before, in the order of keys. A user's deletion comes with the first of the user's keys.
struct Part {
    most: usize,
    from: Option<Key>,
    /// This key and all behind it are left to the next part.
    end: Option<Key>,
    deletions: BTreeMap<UserId, Version>,
    states: BTreeMap<Key, ReadState>,
}

impl Part {
    /// `most` is above 1: a key may need its user's deletion, too.
    fn new(most: usize, from: Option<Key>) -> Self {
        Self { most, from, end: None, deletions: BTreeMap::new(), states: BTreeMap::new() }
    }

    /// Records come in the order in which they were written, and their versions need not rise: a
    /// state that was written down anew is an old one.
    fn take(&mut self, record: Record) {
        match record {
            Record::State { key, state } if self.covers(&key) => {
                let held = self.states.get(&key).map_or(Version::ZERO, ReadState::version);
                if state.version() > held {
                    self.states.insert(key, state);
                }
            }
            Record::UserDeletion { user, version } if self.concerns(user) => {
                let held = self.deletions.entry(user).or_default();
                *held = version.max(*held);
            }
            _ => {}
        }
        self.shorten();
    }

    fn covers(&self, key: &Key) -> bool {
        self.from.is_none_or(|from| *key >= from) && self.end.is_none_or(|end| *key < end)
    }

    /// Whether some of the user's keys may be covered.
    fn concerns(&self, user: UserId) -> bool {
        self.from.is_none_or(|from| user >= from.user)
            && self.end.is_none_or(|end| Key::lowest_of(user) < end)
    }

    /// Leaves what is last to the next part where this one has become too large.
    fn shorten(&mut self) {
        while self.states.len() + self.deletions.len() > self.most {
            let state = self.states.last_key_value().map(|(key, _)| *key);
            let deletion = self.deletions.last_key_value().map(|(user, _)| Key::lowest_of(*user));
            self.end = state.max(deletion);
            if state == self.end {
                self.states.pop_last();
            }
            if deletion == self.end {
                self.deletions.pop_last();
            }
        }
    }

    /// What was deleted with its user does not go with the others: who merges it may know of that
    /// deletion no more than that it was done.
    fn drop_deleted(&mut self) {
        self.states.retain(|key, state| {
            self.deletions.get(&key.user).is_none_or(|deleted_at| state.version() > *deleted_at)
        });
    }

    fn give<E>(self, each: &mut dyn FnMut(OfferChunk) -> Result<(), E>) -> Result<(), E> {
        let in_part_before = self.from.filter(|from| *from > Key::lowest_of(from.user));
        let mut chunk = OfferChunk::default();
        let (mut bytes, mut one) = (0, Vec::new());
        let mut close_if_full = |chunk: &mut OfferChunk, one: &mut Vec<u8>| {
            bytes += one.len();
            one.clear();
            if bytes < OFFER_CHUNK_BYTES {
                return Ok(());
            }
            bytes = 0;
            each(std::mem::take(chunk))
        };
        for (user, version) in self.deletions {
            if in_part_before.is_some_and(|from| from.user == user) {
                continue;
            }
            super::put_deletion(&mut one, user, version);
            chunk.deletions.push((user, version));
            close_if_full(&mut chunk, &mut one)?;
        }
        for (key, state) in self.states {
            super::put_state(&mut one, &key, &state);
            chunk.states.push((key, state));
            close_if_full(&mut chunk, &mut one)?;
        }
        if chunk.records() > 0 { each(chunk) } else { Ok(()) }
    }
}

impl Recovery {
    /// Gives everything that the store may lack to `each`, the last word on each key and user only.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub fn offer<E: From<JournalError>>(
        &self,
        each: &mut dyn FnMut(OfferChunk) -> Result<(), E>,
    ) -> Result<(), E> {
        let replay = |take: &mut dyn FnMut(Record)| {
            let replayed = self.replay(&mut |_, record| {
                take(record);
                Ok(())
            });
            replayed.map(drop)
        };
        offer_in_parts(PART_MAX, replay, each)
    }
}

/// `replay` gives all records, each time that it is asked.
fn offer_in_parts<E>(
    most: usize,
    mut replay: impl FnMut(&mut dyn FnMut(Record)) -> Result<(), E>,
    each: &mut dyn FnMut(OfferChunk) -> Result<(), E>,
) -> Result<(), E> {
    let mut part = Part::new(most, None);
    loop {
        replay(&mut |record| part.take(record))?;
        part.drop_deleted();
        let end = part.end;
        part.give(each)?;
        if end.is_none() {
            return Ok(());
        }
        part = Part::new(most, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelId, Parts};

    fn user(id: u64) -> UserId {
        UserId::new(id).expect("not 0")
    }

    fn state(user_id: u64, channel: u64, version: u64) -> Record {
        let key = Key::channel(user(user_id), ChannelId::new(channel).expect("not 0"));
        let version = Version::from_micros(version);
        let parts = Parts { version, last_acked_id: version.as_micros(), ..Parts::default() };
        Record::State { key, state: ReadState::from_parts(parts).expect("valid parts") }
    }

    fn deletion(user_id: u64, version: u64) -> Record {
        Record::UserDeletion { user: user(user_id), version: Version::from_micros(version) }
    }

    /// What is given of parts that are so large, and how often the records were gone through.
    fn given_in_parts(records: &[Record], most: usize) -> (Vec<OfferChunk>, usize) {
        let (mut chunks, mut replays) = (Vec::new(), 0);
        let replay = |take: &mut dyn FnMut(Record)| {
            replays += 1;
            records.iter().cloned().for_each(take);
            Ok(())
        };
        let mut each = |chunk: OfferChunk| {
            chunks.push(OfferChunk::decode(&chunk.encode())?);
            Ok::<_, UnreadableChunk>(())
        };
        offer_in_parts(most, replay, &mut each).expect("what was written can be read");
        (chunks, replays)
    }

    fn given(records: &[Record]) -> Vec<OfferChunk> {
        let (chunks, replays) = given_in_parts(records, PART_MAX);
        assert_eq!(replays, 1);
        chunks
    }

    #[test]
    fn of_each_key_and_user_the_newest_is_given() {
        let records = vec![
            state(2, 1, 10),
            state(1, 2, 13),
            deletion(1, 14),
            state(1, 1, 12),
            Record::Ceiling(Version::from_micros(99)),
            state(1, 1, 15),
            deletion(1, 13),
            // Written down anew.
            state(1, 1, 12),
        ];
        let [chunk] = &given(&records)[..] else { panic!("one chunk is enough") };
        assert_eq!(chunk.deletions, [(user(1), Version::from_micros(14))]);
        let versions = chunk.states.iter().map(|(key, state)| (key.user, state.version()));
        let expected = [(user(1), 15), (user(2), 10)];
        let expected = expected.map(|(user, micros)| (user, Version::from_micros(micros)));
        assert_eq!(versions.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn chunks_are_bounded_and_lose_nothing() {
        let users = 20_000;
        let records: Vec<Record> =
            (1..=users).flat_map(|id| [state(id, id, id + 1), deletion(id, id)]).collect();
        let chunks = given(&records);
        assert!(chunks.len() > 2, "{}", chunks.len());
        for chunk in &chunks {
            assert!(chunk.encode().len() <= OFFER_CHUNK_BYTES + super::super::RECORD_BYTES_MAX);
        }
        assert_eq!(chunks.iter().map(OfferChunk::records).sum::<u64>(), 2 * users);
        assert_eq!(given(&[]), []);
    }

    /// It is the keys that take memory, not how often they were written.
    #[test]
    fn few_keys_that_were_written_often_are_one_part() {
        let rewritten = |round| [state(1, 1, round), state(2, 1, round), deletion(3, round)];
        let records: Vec<Record> = (1..=1000).flat_map(rewritten).collect();
        let (chunks, replays) = given_in_parts(&records, 3);
        assert_eq!((chunks.len(), chunks[0].records(), replays), (1, 3, 1));
    }

    #[test]
    fn parts_are_bounded_and_together_what_one_part_would_be() {
        // In an order that is none; users with a deletion only, with one between their states, with
        // one in front of or behind all of them, and without any.
        let mut records = Vec::new();
        for place in (0..300_u64).map(|number| number * 7919 % 300) {
            let (user, channel) = (1 + place / 6, 1 + place % 6);
            match (user % 5, channel) {
                (0, 6) => records.push(deletion(user, 500)),
                (0, _) => {}
                (1, _) => records.push(state(user, channel, 1000 - place)),
                (kind, 6) => records.push(deletion(user, [0, 0, 400, 900, 1][kind as usize])),
                _ => records.push(state(user, channel, 100 + place * 2)),
            }
        }
        let whole = joined(given(&records));
        assert!(whole.deletions.len() > 30 && whole.states.len() > 80, "{whole:?}");
        for most in [2, 3, 10, 50] {
            let (chunks, replays) = given_in_parts(&records, most);
            assert!(replays > 1, "{most}");
            for chunk in &chunks {
                assert!(chunk.records() <= most as u64, "{most}");
            }
            assert_eq!(joined(chunks), whole, "{most}");
        }
    }

    fn joined(chunks: Vec<OfferChunk>) -> OfferChunk {
        let mut all = OfferChunk::default();
        for chunk in chunks {
            all.deletions.extend(chunk.deletions);
            all.states.extend(chunk.states);
        }
        all
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let chunk =
            OfferChunk { deletions: vec![(user(1), Version::from_micros(5))], states: vec![] };
        let bytes = chunk.encode();
        assert_eq!(OfferChunk::decode(&bytes), Ok(chunk));
        let mut newer = bytes.clone();
        newer[0] = FORMAT + 1;
        let mut ceiling = vec![FORMAT];
        super::super::put_ceiling(&mut ceiling, Version::from_micros(1));
        for wrong in [&[][..], &newer, &bytes[..bytes.len() - 1], &ceiling] {
            assert!(OfferChunk::decode(wrong).is_err(), "{wrong:?}");
        }
    }
}
