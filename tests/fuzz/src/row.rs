//! Rows of the store: whatever bytes stand there, they are read as what would be written, or not.

use readstates::{
    model::{ChannelId, Key, Kind, PartialAck, Parts, ReadState, UserId, Version},
    store::{
        StoreError,
        codec::{decode, encode, from_sort_key, sort_key},
    },
};

use crate::draw::Draw;

/// The format that a row begins with.
const FORMAT: u8 = 1;

/// Reads the row that follows a key, with a checksum that is made right where a flag says so.
pub fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    check_sort_key(bytes);
    let (is_sealed, key) = (draw.flag(), draw_key(&mut draw));
    let body = draw.rest();
    let row = if is_sealed { sealed(&key, body) } else { body.to_vec() };
    match decode(&key, &row) {
        Ok(state) => {
            assert_eq!(encode(&key, &state), row, "a state has one spelling");
            let again = ReadState::from_parts(state.to_parts()).expect("they are its parts");
            assert_eq!(again, state);
            let other = Key { channel: other(key.channel), ..key };
            assert!(decode(&other, &row).is_err(), "it is of another key");
        }
        Err(StoreError::NewerFormat(_)) => assert!(row[0] > FORMAT),
        Err(StoreError::Corrupt(_)) => {}
        Err(error) => panic!("nothing else can be wrong with bytes: {error}"),
    }
}

/// A state of each sort, once as it is written and once for its checksum to be made.
pub fn seeds() -> Vec<Vec<u8>> {
    let key = Key { user: user(7), kind: Kind::Channel, channel: channel(9) };
    let mut seeds = Vec::new();
    for state in states() {
        let row = encode(&key, &state);
        seeds.push([&[0][..], &key_bytes(&key), &row].concat());
        seeds.push([&[1][..], &key_bytes(&key), &row[..row.len() - 4]].concat());
    }
    seeds
}

/// States that have one part or another.
pub fn states() -> Vec<ReadState> {
    let version = Version::from_micros(1_700_000_000_000_000);
    let plain = Parts { version, last_acked_id: 1 << 60, flags: 3, ..Parts::default() };
    let ids = |ids: std::ops::Range<u64>| ids.map(|id| (1 << 60) + id * 300).collect();
    let full = Parts {
        marked_unread: true,
        inexact: true,
        last_viewed_day: 4_000,
        last_pin_ack_ms: 1 << 40,
        counted: ids(10..20),
        zeroed: ids(20..23),
        folded: 4,
        fold_top: (1 << 60) + 9,
        unpositioned: 2,
        partial_ack: Some(PartialAck { last_acked_id: 5, mention_count: 6, left: 7 }),
        ..plain.clone()
    };
    let mentions = Parts { counted: ids(1..4), ..plain.clone() };
    let state = |parts| ReadState::from_parts(parts).expect("they are of a state");
    vec![state(plain), state(full), state(mentions), ReadState::tombstone(version)]
}

/// A key of any ids but 0.
pub fn draw_key(draw: &mut Draw<'_>) -> Key {
    let (user_id, kind, channel_id) = (draw.u64(), draw.below(6), draw.u64());
    Key { user: user(user_id.max(1)), kind: Kind::ALL[kind as usize], channel: channel(channel_id) }
}

/// As [`draw_key`] reads them.
fn key_bytes(key: &Key) -> Vec<u8> {
    let kind = key.kind as u8 - 1;
    let (user, channel) = (key.user.as_u64().to_le_bytes(), key.channel.as_u64().to_le_bytes());
    [&user[..], &[kind], &channel].concat()
}

fn check_sort_key(bytes: &[u8]) {
    if let Ok(key) = from_sort_key(bytes) {
        assert_eq!(sort_key(&key)[..], *bytes, "a key has one spelling");
    }
}

fn sealed(key: &Key, body: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&sort_key(key)), body);
    [body, &sum.to_le_bytes()].concat()
}

fn user(id: u64) -> UserId {
    UserId::new(id).expect("not 0")
}

fn channel(id: u64) -> ChannelId {
    ChannelId::new(id.max(1)).expect("not 0")
}

/// Another one that differs in one byte, which no checksum misses.
fn other(id: ChannelId) -> ChannelId {
    let flipped = id.as_u64() ^ 2;
    channel(if flipped == 0 { id.as_u64() ^ 4 } else { flipped })
}
