//! Journals written once stay readable for ever: `tests/golden/journal-v1/` has a whole one, every
//! kind of record in it. A newer format is refused by name.
//!
//! A kept file is text: its length, then the rows of 16 bytes that are not all zeros.

use std::{fmt::Write as _, fs, path::PathBuf};

use readstates::{
    journal::{Image, JournalError, Record, SegmentId, SimulatedDisk},
    model::{ChannelId, Key, Kind, PartialAck, Parts, ReadState, Sequence, UserId, Version},
    store::CommitNumber,
};

use crate::{
    builder::{Builder, STORE},
    draw::state,
    reading::{open, records_of},
};

const SEGMENT_BYTES: u64 = 8 << 10;
const ROW_BYTES: usize = 16;
const MICROS: u64 = 1_700_000_000_000_000;

/// Every kind of record; two segments, a mark between them, a seal at the end.
fn written() -> Builder {
    let mut builder = Builder::new(SEGMENT_BYTES);
    builder.group(&[Record::Ceiling(Version::from_micros(MICROS + 60_000_000)), usual(MICROS)]);
    builder.group(&[everything(MICROS + 1), tombstone(MICROS + 2)]);
    builder.advance(Sequence::new(1), 3);
    builder.roll();
    let user = UserId::new(77).expect("not 0");
    builder.group(&[Record::UserDeletion { user, version: Version::from_micros(MICROS + 3) }]);
    builder.group(&[Record::Ceiling(Version::from_micros(MICROS + 4)), Record::Seal]);
    builder.advance(Sequence::new(2), 5);
    builder
}

fn key(kind: Kind) -> Key {
    let user = UserId::new(175_928_847_299_117_063).expect("not 0");
    let channel = ChannelId::new(1_104_093_222_912_000_000).expect("not 0");
    Key { user, kind, channel }
}

fn usual(micros: u64) -> Record {
    let plain = Parts {
        version: Version::from_micros(micros),
        last_acked_id: 1_104_093_222_912_345_678,
        flags: 1,
        last_viewed_day: 3_934,
        ..Parts::default()
    };
    Record::State { key: key(Kind::Channel), state: state(plain) }
}

fn everything(micros: u64) -> Record {
    let all = Parts {
        version: Version::from_micros(micros),
        marked_unread: true,
        inexact: true,
        last_acked_id: 10,
        fold_top: 20,
        folded: 2,
        flags: u32::MAX,
        last_viewed_day: 3_935,
        last_pin_ack_ms: 1_700_000_000_000,
        counted: vec![30, 50],
        zeroed: vec![40],
        unpositioned: 3,
        partial_ack: Some(PartialAck { last_acked_id: 5, mention_count: 6, left: 7 }),
        deleted: false,
    };
    Record::State { key: key(Kind::GuildHome), state: state(all) }
}

fn tombstone(micros: u64) -> Record {
    let state = ReadState::tombstone(Version::from_micros(micros));
    Record::State { key: key(Kind::MessageRequests), state }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1")
}

fn to_text(bytes: &[u8]) -> String {
    let mut text = format!("{}\n", bytes.len());
    for (row, bytes) in bytes.chunks(ROW_BYTES).enumerate() {
        if bytes.iter().any(|byte| *byte != 0) {
            write!(text, "{:04x}:", row * ROW_BYTES).expect("a string takes all");
            for byte in bytes {
                write!(text, " {byte:02x}").expect("a string takes all");
            }
            text.push('\n');
        }
    }
    text
}

fn from_text(text: &str) -> Vec<u8> {
    let mut lines = text.lines();
    let length = lines.next().expect("its length").parse().expect("a number");
    let mut bytes = vec![0; length];
    for line in lines {
        let (offset, row) = line.split_once(':').expect("an offset");
        let offset = usize::from_str_radix(offset, 16).expect("an offset");
        for (index, byte) in row.split_whitespace().enumerate() {
            bytes[offset + index] = u8::from_str_radix(byte, 16).expect("a byte");
        }
    }
    bytes
}

fn kept() -> Image {
    let files = fs::read_dir(folder()).expect("the folder of the kept journal");
    let read = files.map(|file| {
        let path = file.expect("it lists").path();
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        (name, from_text(&fs::read_to_string(path).expect("it is text")))
    });
    read.collect()
}

#[test]
fn the_kept_journal_is_read_as_it_was_written() {
    let mut recovery = open(&SimulatedDisk::restore(kept())).expect("it is whole");
    assert_eq!(recovery.ceiling(), Version::from_micros(MICROS + 4));
    let store =
        readstates::store::StoreIdentity { id: STORE, commits: CommitNumber(5), upto: None };
    recovery.check_store(store).expect("it is the store of then");
    let (records, replayed) = records_of(&recovery).expect("it parses");
    assert_eq!(replayed.torn_bytes, 0);
    let user = UserId::new(77).expect("not 0");
    let deletion = Record::UserDeletion { user, version: Version::from_micros(MICROS + 3) };
    let ceiling = Record::Ceiling(Version::from_micros(MICROS + 4));
    let wanted = [everything(MICROS + 1), tombstone(MICROS + 2), deletion, ceiling, Record::Seal];
    let wanted: Vec<_> = (3..).map(Sequence::new).zip(wanted).collect();
    assert_eq!(records, wanted);
}

#[test]
fn journals_are_written_as_the_kept_one_was() {
    let (written, kept) = (written().disk.image(), kept());
    for (name, bytes) in &written {
        let kept = kept.get(name).map(|bytes| to_text(bytes)).unwrap_or_default();
        assert_eq!(to_text(bytes), kept, "{name}");
    }
    assert_eq!(written.len(), kept.len());
}

/// A later release's files, but for the number of their format, and their checksum.
#[test]
fn a_newer_format_is_refused_by_name_and_left_alone() {
    for name in ["manifest".to_owned(), SegmentId(1).file_name(), SegmentId(2).file_name()] {
        let mut image = kept();
        let bytes = image.get_mut(&name).expect("it is there");
        let block = bytes.len().min(4096);
        bytes[8] = 2;
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..block]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        let disk = SimulatedDisk::restore(image.clone());
        let Err(error) = open(&disk) else { panic!("{name} was read") };
        assert!(matches!(error, JournalError::NewerFormat { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "simulated/journal/{name} is of a newer release: it has format 2, and 1 is the \
                 newest known here. Nothing was changed. Start that release or a later one"
            )
        );
        assert!(disk.image() == image);
    }
}
