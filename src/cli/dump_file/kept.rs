//! What of a dump that broke off is whole: from there it is gone on with.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

use super::{LINE_BYTES_MAX, grammar::Grammar, is_packed, line::HEADER_START};
use crate::{
    cli::replay::InputError,
    proto::{DumpRequest, Key},
};

/// The whole lines, or frames, at the beginning of a file.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How long they are.
    pub bytes: u64,
    pub(super) grammar: Grammar,
}

impl Kept {
    /// Reads a file up to where it is not whole any more. Of one that breaks off within its first
    /// line nothing is kept.
    ///
    /// # Errors
    /// Where it cannot be read, or is no dump at all.
    pub fn of(path: &Path) -> Result<Self, InputError> {
        let unopened = |source| InputError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(unopened)?;
        let length = file.metadata().map_err(unopened)?.len();
        let mut bytes = Counted { inner: BufReader::new(file), passed: 0 };
        let mut kept = Self { bytes: 0, grammar: Grammar::default() };
        let mut what = String::new();
        while kept.bytes < length && !kept.grammar.ended {
            let mut grammar = kept.grammar.clone();
            let run = if is_packed(path) {
                frame(&mut bytes, &mut grammar)
            } else {
                one_line(&mut bytes, &mut grammar)
            };
            if let Err(why) = run {
                what = why;
                break;
            }
            kept = Self { bytes: bytes.passed, grammar };
        }
        if kept.grammar.version != 0 || is_beginning(path, length).map_err(unopened)? {
            return Ok(kept);
        }
        if what.is_empty() {
            what = "this is no dump".to_owned();
        }
        Err(InputError::Malformed { path: path.to_owned(), line: 1, what })
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.grammar.ended
    }

    /// States that are kept.
    pub fn rows(&self) -> u64 {
        self.grammar.rows
    }

    /// The version of the dump; 0 where not even that is kept.
    pub fn version(&self) -> u64 {
        self.grammar.version
    }

    /// Asks for what comes behind it.
    pub fn request(&self) -> DumpRequest {
        let key = |(user_id, kind, channel_id)| Key { user_id, channel_id, r#type: kind };
        DumpRequest {
            version: self.grammar.version,
            after: self.grammar.last.map(key),
            ..DumpRequest::default()
        }
    }
}

/// The first line of a dump, and the frame that it is alone in, are not longer.
const BEGINNING_BYTES_MAX: u64 = 128;
/// How every frame begins.
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Whether a file of which nothing is kept is the cut beginning of a dump. Any other, however
/// short, is somebody's: it is left alone.
fn is_beginning(path: &Path, length: u64) -> io::Result<bool> {
    if length > BEGINNING_BYTES_MAX {
        return Ok(false);
    }
    let bytes = fs::read(path)?;
    if !is_packed(path) {
        return Ok(begins_first_line(&bytes));
    }
    let magic = bytes.len().min(FRAME_MAGIC.len());
    let mut line = Vec::new();
    let read = zstd::Decoder::with_buffer(&bytes[..])?.read_to_end(&mut line);
    let cut = read.err().is_none_or(|error| error.kind() == ErrorKind::UnexpectedEof);
    Ok(bytes[..magic] == FRAME_MAGIC[..magic] && cut && begins_first_line(&line))
}

/// Whether it is the first line of a dump up to some place before its end.
fn begins_first_line(bytes: &[u8]) -> bool {
    let same = bytes.len().min(HEADER_START.len());
    bytes[..same] == HEADER_START[..same] && !bytes.contains(&b'\n')
}

fn one_line(bytes: &mut impl BufRead, grammar: &mut Grammar) -> Result<(), String> {
    let mut line = Vec::new();
    let read = bytes.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
    read.map_err(|error| error.to_string())?;
    line.pop_if(|byte| *byte == b'\n').ok_or("a line is cut or too long")?;
    grammar.take(&line).map(drop)
}

/// A frame of whole lines.
fn frame<R: BufRead>(bytes: &mut R, grammar: &mut Grammar) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let decoder = zstd::Decoder::with_buffer(bytes).map_err(told)?.single_frame();
    let mut lines = BufReader::new(decoder);
    while !lines.fill_buf().map_err(told)?.is_empty() {
        one_line(&mut lines, grammar)?;
    }
    Ok(())
}

/// Counts the bytes that were taken from a reader, not those that it has read ahead.
struct Counted<R> {
    inner: R,
    passed: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.passed += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.passed += amount as u64;
        self.inner.consume(amount);
    }
}
