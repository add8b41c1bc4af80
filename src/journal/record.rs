//! What a journal remembers, and its bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind |
//! | 2 | length of the body, little-endian |
//! | ... | body |
//!
//! A state's body is its sort key and its row, as the store writes them. All other numbers take 8
//! bytes, little-endian.

use crate::{
    model::{Key, ReadState, UserId, Version},
    store::codec,
};

use super::SegmentId;

/// Before a record's body.
pub(super) const RECORD_HEADER_BYTES: usize = 3;

/// No encoded record is longer.
pub const RECORD_BYTES_MAX: usize = 1536;

pub(super) const STATE: u8 = 1;
pub(super) const USER_DELETION: u8 = 2;
pub(super) const CEILING: u8 = 3;
pub(super) const SEAL: u8 = 4;
/// Says that the segment ends here and which one follows; takes no sequence.
pub(super) const NEXT: u8 = 5;
/// The newest kind known here: each kind above is of a newer release.
pub(super) const NEWEST: u8 = NEXT;

/// Something that was acknowledged, or helps to tell what was. Each has a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What a state became, as a whole.
    State {
        /// Whose state.
        key: Key,
        /// The whole state; a tombstone for a deleted one.
        state: ReadState,
    },
    /// All states of a user up to a version are gone.
    UserDeletion {
        /// Which user.
        user: UserId,
        /// States up to and including this version.
        version: Version,
    },
    /// No version above this was given out until the next such record.
    Ceiling(Version),
    /// Everything before was acknowledged in full: nothing behind it is missing.
    Seal,
}

impl Record {
    /// Appends the record.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::State { key, state } => put_state(bytes, key, state),
            Self::UserDeletion { user, version } => put_deletion(bytes, *user, *version),
            Self::Ceiling(version) => put_ceiling(bytes, *version),
            Self::Seal => put_seal(bytes),
        }
    }
}

/// Appends [`Record::State`] without an allocation where there is room for it.
pub fn put_state(bytes: &mut Vec<u8>, key: &Key, state: &ReadState) {
    let start = bytes.len();
    bytes.extend_from_slice(&[STATE, 0, 0]);
    bytes.extend_from_slice(&codec::sort_key(key));
    codec::encode_into(bytes, key, state);
    let body = bytes.len() - start - RECORD_HEADER_BYTES;
    let length = u16::try_from(body).expect("below RECORD_BYTES_MAX");
    bytes[start + 1..start + RECORD_HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends [`Record::UserDeletion`].
pub fn put_deletion(bytes: &mut Vec<u8>, user: UserId, version: Version) {
    put_numbers(bytes, USER_DELETION, [user.as_u64(), version.as_micros()]);
}

/// Appends [`Record::Ceiling`].
pub fn put_ceiling(bytes: &mut Vec<u8>, version: Version) {
    put_numbers(bytes, CEILING, [version.as_micros()]);
}

/// Appends [`Record::Seal`].
pub fn put_seal(bytes: &mut Vec<u8>) {
    put_numbers(bytes, SEAL, []);
}

/// Appends the mark that the segment ends here and that `next` follows.
pub fn put_next(bytes: &mut Vec<u8>, next: SegmentId) {
    put_numbers(bytes, NEXT, [next.0]);
}

fn put_numbers<const N: usize>(bytes: &mut Vec<u8>, kind: u8, numbers: [u64; N]) {
    let length = (N * size_of::<u64>()) as u16;
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_le_bytes());
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{error::Fault, frame::Frames},
        model::{ChannelId, Kind, LEDGER_MAX, PartialAck, Parts},
    };

    fn key() -> Key {
        let user = UserId::new(u64::MAX).expect("not 0");
        let channel = ChannelId::new(u64::MAX).expect("not 0");
        Key { user, kind: Kind::MessageRequests, channel }
    }

    /// Ids as far apart as 128 of them can be.
    fn longest() -> Record {
        let apart = u64::MAX / (LEDGER_MAX as u64 + 2);
        let ids: Vec<u64> = (1..=LEDGER_MAX as u64).map(|index| u64::MAX - index * apart).collect();
        let ids: Vec<u64> = ids.into_iter().rev().collect();
        let (counted, zeroed) = ids.split_at(LEDGER_MAX / 2);
        let partial_ack =
            PartialAck { last_acked_id: u64::MAX, mention_count: u32::MAX, left: u32::MAX };
        let parts = Parts {
            version: Version::from_micros(u64::MAX),
            marked_unread: true,
            inexact: true,
            last_acked_id: 1,
            fold_top: 2,
            flags: u32::MAX,
            last_viewed_day: u32::MAX,
            last_pin_ack_ms: u64::MAX,
            counted: counted.to_vec(),
            zeroed: zeroed.to_vec(),
            folded: u32::MAX,
            unpositioned: u32::MAX,
            partial_ack: Some(partial_ack),
            deleted: false,
        };
        Record::State { key: key(), state: ReadState::from_parts(parts).expect("a state") }
    }

    fn records() -> Vec<Record> {
        let version = Version::from_micros(5);
        vec![
            longest(),
            Record::State { key: key(), state: ReadState::tombstone(version) },
            Record::UserDeletion { user: UserId::new(3).expect("not 0"), version },
            Record::Ceiling(version),
            Record::Seal,
        ]
    }

    #[test]
    fn no_record_is_longer_than_the_bound() {
        let mut bytes = Vec::new();
        longest().encode_into(&mut bytes);
        assert!(bytes.len() > RECORD_BYTES_MAX * 3 / 4, "{} bytes", bytes.len());
        // Each of the ids could take one byte more if they were further apart.
        assert!(bytes.len() + LEDGER_MAX <= RECORD_BYTES_MAX, "{} bytes", bytes.len());
    }

    #[test]
    fn records_come_back_one_after_the_other() {
        let mut bytes = Vec::new();
        records().iter().for_each(|record| record.encode_into(&mut bytes));
        put_next(&mut bytes, SegmentId(9));
        let frames: Vec<_> = Frames::of(&bytes).map(|frame| frame.expect("it is whole")).collect();
        let (next, frames) = frames.split_last().expect("there are some");
        let read: Vec<_> = frames.iter().map(|frame| frame.decode().expect("it parses")).collect();
        assert_eq!(read, records());
        assert!(frames.iter().all(|frame| frame.takes_sequence() && frame.next().is_none()));
        assert_eq!((next.next(), next.takes_sequence()), (Some(SegmentId(9)), false));
    }

    #[test]
    fn a_cut_record_is_told_and_ends_the_reading() {
        let mut bytes = Vec::new();
        put_ceiling(&mut bytes, Version::ZERO);
        for length in 1..bytes.len() {
            let read: Vec<_> = Frames::of(&bytes[..length]).collect();
            assert!(matches!(read[..], [Err(Fault::Damaged(_))]), "{read:?}");
        }
    }

    #[test]
    fn a_body_of_the_wrong_length_does_not_parse() {
        for kind in [STATE, USER_DELETION, CEILING, SEAL] {
            let bytes = [kind, 3, 0, 1, 2, 3];
            let frame = Frames::of(&bytes).next().expect("it is there").expect("it is whole");
            assert!(matches!(frame.decode(), Err(Fault::Damaged(_))), "kind {kind}");
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_of_a_newer_release() {
        let newer = [NEWEST + 1, 0, 0];
        let read: Vec<_> = Frames::of(&newer).collect();
        assert_eq!(read, [Err(Fault::NewerRecord(NEWEST + 1))]);
    }
}
