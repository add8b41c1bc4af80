//! The engine's log, looked at before the engine does: what a power cut left of writes that were
//! never synced goes.
//!
//! A disk may keep any pieces of such writes. The engine gives up where it meets a batch with a
//! hole in it, and refuses to open; so the log is cut before the first batch that is not whole.
//!
//! No checksum covers the sequence of a batch, by which the engine tells newer rows from older.
//! They rise from batch to batch: where they do not, one of two is damaged, and neither counts.
//!
//! Its layout, of the minor version that `Cargo.toml` pins:
//!
//! ```text
//! batch  1u8  items u32  sequence u64  item...  3u8  xxh3 of the items u64  "FJL" 3u8
//! item   2u8  kind u8  compression u8  tree u64  key length u16  length u32  stored length u32
//!        key  value
//!        4u8  tree u64
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use tracing::warn;
use xxhash_rust::xxh3::Xxh3;

use crate::store::StoreError;

const LOCK: &str = "lock";
const LOG_ENDING: &str = "jnl";

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;
/// Kinds of items: a value, two tombstones, and what is kept apart.
const KINDS: [u8; 4] = [0, 1, 2, 4];

/// Cuts the newest log in `engine` before its first batch that is not whole. Does nothing where
/// there is no log, or where another process has the folder.
///
/// `is_only_witness`: rows may be in the log and nowhere else, and each commit was synced before
/// the next. Then a whole batch behind one that is not is no work of a power cut, and all is left
/// as it is.
pub(super) fn mend(engine: &Path, is_only_witness: bool) -> Result<(), StoreError> {
    let Some(path) = newest_log(engine)? else { return Ok(()) };
    let lock = OpenOptions::new().read(true).write(true).open(engine.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let mut log = OpenOptions::new().read(true).write(true).open(&path)?;
    let whole_bytes = whole_bytes(&log)?;
    if whole_bytes == log.metadata()?.len() {
        return Ok(());
    }
    log.seek(SeekFrom::Start(whole_bytes))?;
    let mut rest = Vec::new();
    log.read_to_end(&mut rest)?;
    if is_only_witness && has_batch(&rest)? {
        return Err(StoreError::Corrupt(
            format!(
                "{} is damaged at byte {whole_bytes}; put the data directory back from a backup",
                path.display()
            )
            .into(),
        ));
    }
    if rest.iter().any(|byte| *byte != 0) {
        warn!(
            log = %path.display(), at_byte = whole_bytes, bytes = rest.len(),
            "the end of the store's log was not whole and is cut off"
        );
    }
    log.set_len(whole_bytes)?;
    log.sync_all()?;
    Ok(())
}

/// The log that is written to; those before it were synced when they were left.
fn newest_log(engine: &Path) -> Result<Option<PathBuf>, StoreError> {
    let mut newest = None;
    for file in fs::read_dir(engine)? {
        let path = file?.path();
        if path.extension().is_none_or(|ending| ending != LOG_ENDING) {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

/// How many bytes at the start of a log are whole batches, in order.
fn whole_bytes(log: &File) -> io::Result<u64> {
    let end = log.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, log);
    let mut whole = 0;
    let mut last: Option<Batch> = None;
    while let Some(batch) = next_batch(&mut reader, end - whole)? {
        if let Some(last) = last.filter(|last| last.sequence >= batch.sequence) {
            return Ok(whole - last.bytes);
        }
        whole += batch.bytes;
        last = Some(batch);
    }
    Ok(whole)
}

/// Whether a whole batch begins anywhere in `bytes`.
fn has_batch(bytes: &[u8]) -> io::Result<bool> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == START);
    for (at, _) in starts {
        if next_batch(&mut &bytes[at..], (bytes.len() - at) as u64)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A whole batch.
#[derive(Clone, Copy)]
struct Batch {
    bytes: u64,
    sequence: u64,
}

/// The batch that `reader`, with `left` bytes in it, begins with; `None` where that is no whole
/// batch.
fn next_batch(reader: &mut impl Read, left: u64) -> io::Result<Option<Batch>> {
    let mut batch = BatchReader { reader, left, read: 0, sequence: 0, items: Xxh3::new() };
    match batch.check() {
        Ok(is_whole) => {
            let BatchReader { read: bytes, sequence, .. } = batch;
            Ok(is_whole.then_some(Batch { bytes, sequence }))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

struct BatchReader<'a, R> {
    reader: &'a mut R,
    left: u64,
    read: u64,
    sequence: u64,
    items: Xxh3,
}

impl<R: Read> BatchReader<'_, R> {
    fn check(&mut self) -> io::Result<bool> {
        if self.array()? != [START] {
            return Ok(false);
        }
        let items = u32::from_le_bytes(self.array()?);
        self.sequence = u64::from_le_bytes(self.array()?);
        for _ in 0..items {
            if !self.check_item()? {
                return Ok(false);
            }
        }
        if self.array()? != [END] {
            return Ok(false);
        }
        let checksum = u64::from_le_bytes(self.array()?);
        Ok(checksum == self.items.digest() && self.array()? == MAGIC)
    }

    fn check_item(&mut self) -> io::Result<bool> {
        let [tag] = self.array()?;
        self.items.update(&[tag]);
        if tag == CLEAR {
            self.item_array::<8>()?;
        }
        if tag != ITEM {
            return Ok(tag == CLEAR);
        }
        let [kind, compression] = self.item_array()?;
        let _tree: [u8; 8] = self.item_array()?;
        let key_bytes = u16::from_le_bytes(self.item_array()?);
        let value_bytes = u32::from_le_bytes(self.item_array()?);
        let stored_bytes = u32::from_le_bytes(self.item_array()?);
        let fits = match compression {
            PLAIN => value_bytes == stored_bytes,
            compression => compression == COMPRESSED,
        };
        if !fits || !KINDS.contains(&kind) {
            return Ok(false);
        }
        let body = self.bytes(u64::from(key_bytes) + u64::from(stored_bytes))?;
        self.items.update(&body);
        Ok(true)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.read += N as u64;
        Ok(bytes)
    }

    /// As [`Self::array`], and the checksum covers it.
    fn item_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.array()?;
        self.items.update(&bytes);
        Ok(bytes)
    }

    /// A length that was never written must not take memory for it.
    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        if length > self.left.saturating_sub(self.read) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes)?;
        self.read += length;
        Ok(bytes)
    }
}
