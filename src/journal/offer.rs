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
/// States that are in memory at a time. Of more, the journal is read once for each part.
const PART_STATES_MAX: u64 = 200_000;

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

/// The last word on each key and user, of one part of them.
#[derive(Default)]
struct Part {
    deletions: BTreeMap<UserId, Version>,
    states: BTreeMap<Key, ReadState>,
}

impl Part {
    /// Records come in the order in which they were written, and their versions need not rise: a
    /// state that was written down anew is an old one.
    fn take(&mut self, record: Record) {
        match record {
            Record::State { key, state } => {
                let held = self.states.get(&key).map_or(Version::ZERO, ReadState::version);
                if state.version() > held {
                    self.states.insert(key, state);
                }
            }
            Record::UserDeletion { user, version } => {
                let held = self.deletions.entry(user).or_default();
                *held = version.max(*held);
            }
            _ => {}
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
        let parts = self.records().div_ceil(PART_STATES_MAX).max(1);
        for part in 0..parts {
            let mut found = Part::default();
            self.replay(&mut |_, record| {
                let wanted = match &record {
                    Record::State { key, .. } => key.part_of(parts) == part,
                    _ => true,
                };
                if wanted {
                    found.take(record);
                }
                Ok::<_, E>(())
            })?;
            found.drop_deleted();
            if part > 0 {
                found.deletions.clear();
            }
            found.give(each)?;
        }
        Ok(())
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

    fn given(records: Vec<Record>) -> Vec<OfferChunk> {
        let (mut part, mut chunks) = (Part::default(), Vec::new());
        records.into_iter().for_each(|record| part.take(record));
        part.drop_deleted();
        let mut each = |chunk: OfferChunk| {
            chunks.push(OfferChunk::decode(&chunk.encode())?);
            Ok::<_, UnreadableChunk>(())
        };
        part.give(&mut each).expect("what was written can be read");
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
        let [chunk] = &given(records)[..] else { panic!("one chunk is enough") };
        assert_eq!(chunk.deletions, [(user(1), Version::from_micros(14))]);
        let versions = chunk.states.iter().map(|(key, state)| (key.user, state.version()));
        let expected = [(user(1), 15), (user(2), 10)];
        let expected = expected.map(|(user, micros)| (user, Version::from_micros(micros)));
        assert_eq!(versions.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn chunks_are_bounded_and_lose_nothing() {
        let users = 20_000;
        let records =
            (1..=users).flat_map(|id| [state(id, id, id + 1), deletion(id, id)]).collect();
        let chunks = given(records);
        assert!(chunks.len() > 2, "{}", chunks.len());
        for chunk in &chunks {
            assert!(chunk.encode().len() <= OFFER_CHUNK_BYTES + super::super::RECORD_BYTES_MAX);
        }
        assert_eq!(chunks.iter().map(OfferChunk::records).sum::<u64>(), 2 * users);
        assert_eq!(given(Vec::new()), []);
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
