//! A state as bytes: compact, versioned, and checked against its key, so that a damaged row and a
//! row under a wrong key are noticed. What was ever written stays readable: `tests/golden/`.
//!
//! Format 1, integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format |
//! | 2 | which of the parts below are there (and the bits that are nothing but there), see `Has` |
//! | 8 | version |
//! | ... | the parts that are not 0, in the order of `Has` |
//! | 4 | crc32c of the sort key and all the bytes before |
//!
//! Every format ends in that checksum, so that damage is told from a newer format.

mod cursor;
mod fields;
mod sort_key;

use crc32c::{crc32c, crc32c_append};

use crate::model::{Key, PartialAck, Parts, ReadState, Version};

use super::{Damage, StoreError};
use cursor::{Cursor, put_rising, put_varint};
use fields::Fields;
pub use sort_key::{SORT_KEY_BYTES, from_sort_key, sort_key};

/// The format that is written.
const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Bits of the parts that a row has, in the order in which the parts follow.
struct Has;

impl Has {
    const DELETED: u16 = 1;
    const MARKED_UNREAD: u16 = 1 << 1;
    const INEXACT: u16 = 1 << 2;
    /// 8 bytes.
    const LAST_ACKED_ID: u16 = 1 << 3;
    /// A varint, as all below without a remark.
    const FLAGS: u16 = 1 << 4;
    const LAST_VIEWED_DAY: u16 = 1 << 5;
    const LAST_PIN_ACK_MS: u16 = 1 << 6;
    /// The number of ids, then each as its distance from the one before.
    const COUNTED: u16 = 1 << 7;
    /// As the counted ones.
    const ZEROED: u16 = 1 << 8;
    const FOLDED: u16 = 1 << 9;
    /// 8 bytes.
    const FOLD_TOP: u16 = 1 << 10;
    const UNPOSITIONED: u16 = 1 << 11;
    /// The watermark in 8 bytes, the count before, the count left.
    const PARTIAL_ACK: u16 = 1 << 12;
    const ALL: u16 = (1 << 13) - 1;

    fn of(parts: &Fields<'_>) -> u16 {
        [
            (Self::DELETED, parts.deleted),
            (Self::MARKED_UNREAD, parts.marked_unread),
            (Self::INEXACT, parts.inexact),
            (Self::LAST_ACKED_ID, parts.last_acked_id != 0),
            (Self::FLAGS, parts.flags != 0),
            (Self::LAST_VIEWED_DAY, parts.last_viewed_day != 0),
            (Self::LAST_PIN_ACK_MS, parts.last_pin_ack_ms != 0),
            (Self::COUNTED, !parts.counted.is_empty()),
            (Self::ZEROED, !parts.zeroed.is_empty()),
            (Self::FOLDED, parts.folded != 0),
            (Self::FOLD_TOP, parts.fold_top != 0),
            (Self::UNPOSITIONED, parts.unpositioned != 0),
            (Self::PARTIAL_ACK, parts.partial_ack.is_some()),
        ]
        .into_iter()
        .filter(|(_, there)| *there)
        .fold(0, |has, (bit, _)| has | bit)
    }
}

/// The bytes of the row of `key`.
pub fn encode(key: &Key, state: &ReadState) -> Vec<u8> {
    let mut row = Vec::with_capacity(32);
    encode_into(&mut row, key, state);
    row
}

/// Appends the bytes of the row of `key`. Allocates only where `bytes` has no room for them.
pub fn encode_into(bytes: &mut Vec<u8>, key: &Key, state: &ReadState) {
    let start = bytes.len();
    let fields = Fields::of_state(state);
    let has = Has::of(&fields);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&has.to_le_bytes());
    bytes.extend_from_slice(&fields.version.as_micros().to_le_bytes());
    put_fields(bytes, has, &fields);
    let sum = checksum(key, &bytes[start..]);
    bytes.extend_from_slice(&sum.to_le_bytes());
}

fn put_fields(row: &mut Vec<u8>, has: u16, parts: &Fields<'_>) {
    let there = |bit| has & bit != 0;
    if there(Has::LAST_ACKED_ID) {
        row.extend(parts.last_acked_id.to_le_bytes());
    }
    for (bit, value) in [
        (Has::FLAGS, parts.flags.into()),
        (Has::LAST_VIEWED_DAY, parts.last_viewed_day.into()),
        (Has::LAST_PIN_ACK_MS, parts.last_pin_ack_ms),
    ] {
        if there(bit) {
            put_varint(row, value);
        }
    }
    for (bit, ids) in [(Has::COUNTED, parts.counted), (Has::ZEROED, parts.zeroed)] {
        if there(bit) {
            put_rising(row, ids);
        }
    }
    if there(Has::FOLDED) {
        put_varint(row, parts.folded.into());
    }
    if there(Has::FOLD_TOP) {
        row.extend(parts.fold_top.to_le_bytes());
    }
    if there(Has::UNPOSITIONED) {
        put_varint(row, parts.unpositioned.into());
    }
    if let Some(ack) = parts.partial_ack {
        row.extend(ack.last_acked_id.to_le_bytes());
        put_varint(row, ack.mention_count.into());
        put_varint(row, ack.left.into());
    }
}

/// The state of `key` that these bytes are of.
///
/// # Errors
/// [`StoreError::Corrupt`] where they are damaged or of another key, and
/// [`StoreError::NewerFormat`] where a newer release wrote them.
pub fn decode(key: &Key, row: &[u8]) -> Result<ReadState, StoreError> {
    let Some((body, sum)) = row.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(corrupt(key, "is too short"));
    };
    if checksum(key, body) != u32::from_le_bytes(*sum) {
        return Err(corrupt(key, "does not match its checksum, or is of another key"));
    }
    match body.split_first() {
        Some((&FORMAT, rest)) => {
            let parts = parts_of(rest).ok_or_else(|| corrupt(key, "does not parse"))?;
            ReadState::from_parts(parts).map_err(|invalid| corrupt(key, &invalid.to_string()))
        }
        Some((&format, _)) if format > FORMAT => Err(StoreError::NewerFormat(format!(
            "the row of {} has format {format}, and {FORMAT} is the newest known here",
            name(key)
        ))),
        _ => Err(corrupt(key, "has no format")),
    }
}

/// Everything after the format. `None` where it is not exactly what [`encode`] writes.
fn parts_of(bytes: &[u8]) -> Option<Parts> {
    let mut cursor = Cursor::new(bytes);
    let has = cursor.u16()?;
    let there = |bit| has & bit != 0;
    let mut parts = Parts {
        version: Version::from_micros(cursor.u64()?),
        deleted: there(Has::DELETED),
        marked_unread: there(Has::MARKED_UNREAD),
        inexact: there(Has::INEXACT),
        ..Parts::default()
    };
    if there(Has::LAST_ACKED_ID) {
        parts.last_acked_id = cursor.u64()?;
    }
    if there(Has::FLAGS) {
        parts.flags = cursor.varint_u32()?;
    }
    if there(Has::LAST_VIEWED_DAY) {
        parts.last_viewed_day = cursor.varint_u32()?;
    }
    if there(Has::LAST_PIN_ACK_MS) {
        parts.last_pin_ack_ms = cursor.varint()?;
    }
    if there(Has::COUNTED) {
        parts.counted = cursor.rising()?;
    }
    if there(Has::ZEROED) {
        parts.zeroed = cursor.rising()?;
    }
    if there(Has::FOLDED) {
        parts.folded = cursor.varint_u32()?;
    }
    if there(Has::FOLD_TOP) {
        parts.fold_top = cursor.u64()?;
    }
    if there(Has::UNPOSITIONED) {
        parts.unpositioned = cursor.varint_u32()?;
    }
    if there(Has::PARTIAL_ACK) {
        parts.partial_ack = Some(partial_ack_of(&mut cursor)?);
    }
    let whole =
        cursor.is_at_end() && has & !Has::ALL == 0 && Has::of(&Fields::of_parts(&parts)) == has;
    whole.then_some(parts)
}

fn partial_ack_of(cursor: &mut Cursor<'_>) -> Option<PartialAck> {
    Some(PartialAck {
        last_acked_id: cursor.u64()?,
        mention_count: cursor.varint_u32()?,
        left: cursor.varint_u32()?,
    })
}

fn checksum(key: &Key, body: &[u8]) -> u32 {
    crc32c_append(crc32c(&sort_key(key)), body)
}

fn corrupt(key: &Key, what: &str) -> StoreError {
    let named = format!("the row of {} {what}", name(key));
    StoreError::Corrupt(Damage::of_row(format!("a row {what}"), named))
}

fn name(key: &Key) -> String {
    format!("user {}, type {}, channel {}", key.user, key.kind as u8, key.channel)
}
