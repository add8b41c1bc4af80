//! What lies where in the tree. One tree holds everything, so that one batch changes all of it or
//! nothing; the first byte of a key says what it is of. Numbers are big-endian and so sort.
//!
//! | key | value |
//! |---|---|
//! | `0` | the meta row |
//! | `1`, sort key | a row |
//! | `2`, version, sort key | nothing: this row was a tombstone with that version |
//! | `2`, version, user | nothing: this user was marked as deleted at that version |
//! | `3`, user | the version at which the user was deleted as a whole |
//!
//! The second kind of key is the expiry index. It gets an entry with every tombstone and mark and
//! loses it when it expires, whether or not the row was replaced meanwhile; so a write need not
//! look for what it replaces.

use crate::{
    model::{Key, UserId, Version},
    store::{
        Damage, StoreError,
        codec::{SORT_KEY_BYTES, from_sort_key, sort_key},
    },
};

pub(super) const META: [u8; 1] = [0];
const ROW: u8 = 1;
const EXPIRY: u8 = 2;
const MARK: u8 = 3;

pub(super) type RowKey = [u8; 1 + SORT_KEY_BYTES];

/// Where the row of `key` lies.
pub(super) fn row_key(key: &Key) -> RowKey {
    let mut bytes = [ROW; 1 + SORT_KEY_BYTES];
    bytes[1..].copy_from_slice(&sort_key(key));
    bytes
}

/// The lowest bytes above the row of `key`, and so at or below every later row.
pub(super) fn just_above(key: &Key) -> Vec<u8> {
    [&row_key(key)[..], &[0]].concat()
}

/// The key of the row that lies there.
pub(super) fn key_of_row(bytes: &[u8]) -> Result<Key, StoreError> {
    from_sort_key(bytes.get(1..).unwrap_or_default())
}

/// Just above every row.
pub(super) const ROWS_END: [u8; 1] = [ROW + 1];
/// At or below every row.
pub(super) const ROWS_START: [u8; 1] = [ROW];

/// Where the mark of a deleted user lies.
pub(super) fn mark_key(user: UserId) -> [u8; 9] {
    let mut bytes = [MARK; 9];
    bytes[1..].copy_from_slice(&user.as_u64().to_be_bytes());
    bytes
}

/// What a mark says.
pub(super) fn mark_value(version: Version) -> [u8; 8] {
    version.as_micros().to_be_bytes()
}

/// The version that a mark holds.
pub(super) fn version_of_mark(user: UserId, value: &[u8]) -> Result<Version, StoreError> {
    let micros = value.try_into().map_err(|_| {
        let named = format!("the mark of deleted user {user} is not a version");
        StoreError::Corrupt(Damage::of_row("the mark of a deleted user is not a version", named))
    })?;
    Ok(Version::from_micros(u64::from_be_bytes(micros)))
}

/// What can expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiring {
    Tombstone(Key),
    Mark(UserId),
}

/// Where the entry of the expiry index lies.
pub(super) fn expiry_key(version: Version, what: Expiring) -> Vec<u8> {
    let mut bytes = expiry_bound(version).to_vec();
    match what {
        Expiring::Tombstone(key) => bytes.extend(sort_key(&key)),
        Expiring::Mark(user) => bytes.extend(user.as_u64().to_be_bytes()),
    }
    bytes
}

/// At or below every entry with this version or a later one, above every one with an earlier.
pub(super) fn expiry_bound(version: Version) -> [u8; 9] {
    let mut bytes = [EXPIRY; 9];
    bytes[1..].copy_from_slice(&version.as_micros().to_be_bytes());
    bytes
}

/// What the entry that lies there is of.
pub(super) fn expiring_of(bytes: &[u8]) -> Result<(Version, Expiring), StoreError> {
    let foreign = || {
        let named = format!("{bytes:02x?} is no entry of the expiry index");
        StoreError::Corrupt(Damage::of_row("the expiry index has an entry that is none", named))
    };
    let (version, what) = bytes.get(1..).and_then(<[u8]>::split_first_chunk).ok_or_else(foreign)?;
    let expiring = match <[u8; 8]>::try_from(what) {
        Ok(user) => Expiring::Mark(UserId::new(u64::from_be_bytes(user)).ok_or_else(foreign)?),
        Err(_) => Expiring::Tombstone(from_sort_key(what)?),
    };
    Ok((Version::from_micros(u64::from_be_bytes(*version)), expiring))
}
