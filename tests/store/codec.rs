//! No damage to a row goes unnoticed, and no state is changed by being stored.

use crc32c::crc32c;
use proptest::prelude::*;
use readstates::{
    model::{Key, Kind, Parts},
    store::{
        StoreError,
        codec::{decode, encode, sort_key},
    },
};

use crate::states::{any_key, any_state, channel, key, state, version};

fn assert_damaged(key: &Key, row: &[u8], what: &str) {
    let read = decode(key, row);
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{what}: {read:?}");
}

/// A row whose checksum is right, whatever stands in it.
fn sealed(key: &Key, body: &[u8]) -> Vec<u8> {
    let sum = crc32c(&[&sort_key(key)[..], body].concat());
    [body, &sum.to_le_bytes()].concat()
}

proptest! {
    #[test]
    fn every_state_comes_back(key in any_key(), state in any_state()) {
        let read = decode(&key, &encode(&key, &state));
        prop_assert_eq!(read.expect("it was just written").to_parts(), state.to_parts());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed(
        key in any_key(),
        state in any_state(),
    ) {
        let row = encode(&key, &state);
        for bit in 0..row.len() * 8 {
            let mut damaged = row.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_damaged(&key, &damaged, &format!("bit {bit}"));
        }
        for length in 0..row.len() {
            assert_damaged(&key, &row[..length], &format!("the first {length} bytes"));
        }
    }

    #[test]
    fn a_row_under_another_key_is_noticed(a in any_key(), b in any_key(), state in any_state()) {
        prop_assume!(a != b);
        assert_damaged(&b, &encode(&a, &state), "under another key");
    }

    #[test]
    fn bytes_of_any_kind_are_refused_without_a_panic(
        key in any_key(),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        assert_damaged(&key, &body, "no row");
        // Here the checksum lets them through, and what follows it must cope.
        let row = sealed(&key, &[&[1], &body[..]].concat());
        if let Ok(state) = decode(&key, &row) {
            prop_assert_eq!(encode(&key, &state), row);
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let key = key(7, Kind::GuildEvent, 9);
    let row = sealed(&key, &[2, 1, 2, 3]);
    let Err(StoreError::NewerFormat(message)) = decode(&key, &row) else {
        panic!("a newer format was read");
    };
    assert_eq!(
        message,
        "the row of user 7, type 2, channel 9 has format 2, and 1 is the newest known here"
    );
    assert_damaged(&key, &sealed(&key, &[0, 1, 2, 3]), "format 0");
    assert_damaged(&key, &sealed(&key, &[]), "no format");
}

#[test]
fn what_the_writer_would_not_write_is_not_read() {
    let key = channel(1, 2);
    let row = encode(&key, &state(Parts { version: version(3), flags: 5, ..Parts::default() }));
    let body = row[..row.len() - 4].to_vec();
    assert!(decode(&key, &sealed(&key, &body)).is_ok());
    let flags = body.len() - 1;
    let with = |place: usize, byte| {
        let mut body = body.clone();
        body[place] = byte;
        sealed(&key, &body)
    };
    assert_damaged(&key, &with(flags, 0), "a part that is 0 and said to be there");
    assert_damaged(&key, &with(2, 1 << 5), "a bit that has no meaning");
    assert_damaged(&key, &with(3, 0), "version 0");
    assert_damaged(&key, &sealed(&key, &[&body[..], &[0]].concat()), "bytes after the end");
}
