//! Rows as every release since the first wrote them. The files stay as they are for ever: what is
//! in them must be read as it ever was, and is what format 1 still looks like.

use std::{fs, path::PathBuf};

use readstates::{
    model::{Key, Kind, PartialAck, Parts, ReadState},
    store::codec::{decode, encode},
};

use crate::states::{channel, key, state, version};

const USER: u64 = 80_351_110_224_678_912;
const CHANNEL: u64 = 290_926_798_626_357_999;
const MESSAGE: u64 = 1_290_926_798_626_357_999;
const MICROS: u64 = 1_760_000_000_123_456;

/// Every row that is kept, by the name of its file.
fn rows() -> Vec<(&'static str, Key, Parts)> {
    let here = channel(USER, CHANNEL);
    let plain = Parts { version: version(MICROS), last_acked_id: MESSAGE, ..Parts::default() };
    vec![
        ("usual", here, Parts { flags: 1, last_viewed_day: 3_934, ..plain.clone() }),
        ("watermark_only", here, plain.clone()),
        ("nothing_read", here, Parts { version: version(1), ..Parts::default() }),
        (
            "tombstone",
            key(USER, Kind::GuildHome, 7),
            Parts { version: version(MICROS), deleted: true, ..Parts::default() },
        ),
        ("unpositioned", here, Parts { unpositioned: 300, ..plain.clone() }),
        (
            "mentions",
            here,
            Parts {
                counted: vec![MESSAGE + 1, MESSAGE + (1 << 22), MESSAGE + (9 << 22)],
                zeroed: vec![MESSAGE + 2],
                ..plain.clone()
            },
        ),
        (
            "overflown",
            here,
            Parts {
                inexact: true,
                counted: (1..=128).map(|place| MESSAGE + 1_000 * place).collect(),
                folded: 72,
                fold_top: MESSAGE + 999,
                ..plain
            },
        ),
        ("everything", key(u64::MAX, Kind::MessageRequests, u64::MAX), everything()),
    ]
}

fn everything() -> Parts {
    Parts {
        version: version(u64::MAX),
        deleted: false,
        last_acked_id: 1,
        marked_unread: true,
        inexact: true,
        flags: u32::MAX,
        last_viewed_day: u32::MAX,
        last_pin_ack_ms: u64::MAX,
        counted: vec![1 << 40, u64::MAX],
        zeroed: vec![u64::MAX - 1],
        folded: u32::MAX,
        fold_top: 2,
        unpositioned: u32::MAX,
        partial_ack: Some(PartialAck {
            last_acked_id: u64::MAX,
            mention_count: u32::MAX,
            left: u32::MAX,
        }),
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/row-v1")
}

fn kept(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let digits: Vec<char> = text.split_whitespace().flat_map(str::chars).collect();
    let byte = |pair: &[char]| {
        let pair = String::from_iter(pair);
        u8::from_str_radix(&pair, 16).unwrap_or_else(|error| panic!("{path:?}: {pair}: {error}"))
    };
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_kept_row_is_read_as_it_was_written() {
    for (name, key, parts) in rows() {
        let read = decode(&key, &kept(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.to_parts(), parts, "{name}");
    }
}

#[test]
fn rows_are_written_as_the_kept_ones_were() {
    for (name, key, parts) in rows() {
        let written = encode(&key, &state(parts));
        assert_eq!(hex(&written), hex(&kept(name)), "{name}");
    }
}

#[test]
fn no_file_is_without_a_row() {
    let files = fs::read_dir(folder()).expect("the folder of kept rows").count();
    assert_eq!(files, rows().len());
}

#[test]
fn usual_rows_are_small() {
    let length = |parts: Parts| encode(&channel(USER, CHANNEL), &state(parts)).len();
    let usual = rows().into_iter().find(|(name, ..)| *name == "usual").expect("it is there").2;
    assert_eq!(length(usual.clone()), 26);
    assert_eq!(length(Parts { unpositioned: 12, marked_unread: true, ..usual }), 27);
    assert_eq!(length(ReadState::tombstone(version(MICROS)).to_parts()), 15);
}
