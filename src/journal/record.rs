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
