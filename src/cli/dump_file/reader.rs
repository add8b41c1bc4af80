//! Reads a dump line by line. Whatever is wrong with it is told with file and line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use super::{LINE_BYTES_MAX, grammar::Grammar, is_packed};
use crate::{cli::replay::InputError, proto::StateRecord};

/// The states of a dump, in order.
pub struct DumpReader {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    lines_read: u64,
    grammar: Grammar,
    cut: bool,
}

/// What a dump is, seen from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The line that it was drawn at.
    pub version: u64,
    /// States in it.
    pub rows: u64,
    /// Of all its lines.
    pub sum: String,
    /// Whether its end is missing.
    pub cut: bool,
}

impl Survey {
    /// Reads a dump from its beginning to its end.
    ///
    /// # Errors
    /// What is wrong with it; not that its end is missing.
    pub fn of(path: &Path) -> Result<Self, InputError> {
        let mut reader = DumpReader::open(path)?;
        while reader.state()?.is_some() {}
        let Grammar { version, rows, .. } = reader.grammar;
        Ok(Self { version, rows, sum: reader.grammar.sum(), cut: reader.cut })
    }
}

impl DumpReader {
    /// Opens a dump and reads its first line.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let unopened = |source| InputError::Open { path: path.to_owned(), source };
        let file = BufReader::new(File::open(path).map_err(unopened)?);
        let lines: Box<dyn BufRead + Send> = if is_packed(path) {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(file).map_err(unopened)?))
        } else {
            Box::new(file)
        };
        let grammar = Grammar::default();
        let path = path.to_owned();
        let mut reader = Self { path, lines, line: Vec::new(), lines_read: 0, grammar, cut: false };
        reader.next_line()?;
        if reader.grammar.version == 0 {
            return Err(reader.malformed("this is no dump, or one cut before its first line ends"));
        }
        Ok(reader)
    }

    /// The line that the dump was drawn at.
    pub fn version(&self) -> u64 {
        self.grammar.version
    }

    /// Whether the end of the dump is missing, once there are no more states.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The next state; `None` at the end.
    pub fn state(&mut self) -> Result<Option<StateRecord>, InputError> {
        let state = self.next_line()?;
        if state.is_none() && self.grammar.ended && !self.line.is_empty() {
            // Nothing may follow, which only another look shows.
            self.next_line()?;
        }
        Ok(state)
    }

    /// An error about the line of the state of this number, counted from 1.
    pub fn error_at_row(path: &Path, row: u64, what: &str) -> InputError {
        // Before the first state is the first line.
        InputError::Malformed { path: path.to_owned(), line: row + 1, what: what.to_owned() }
    }

    /// As [`Self::error_at_row`], of this dump.
    pub fn error_at(&self, row: u64, what: &str) -> InputError {
        Self::error_at_row(&self.path, row, what)
    }

    fn next_line(&mut self) -> Result<Option<StateRecord>, InputError> {
        if self.cut {
            return Ok(None);
        }
        self.line.clear();
        let mut bounded = self.lines.by_ref().take(LINE_BYTES_MAX);
        match bounded.read_until(b'\n', &mut self.line) {
            Ok(_) => {}
            // A frame that is cut, whatever of it could be read.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.cut = true;
                return Ok(None);
            }
            Err(error) => return Err(self.damaged(&error)),
        }
        if self.line.pop_if(|byte| *byte == b'\n').is_none() {
            if self.line.len() as u64 == LINE_BYTES_MAX {
                self.lines_read += 1;
                return Err(self.malformed("the line is too long for one of a dump"));
            }
            self.cut = !self.grammar.ended || !self.line.is_empty();
            self.line.clear();
            return Ok(None);
        }
        self.lines_read += 1;
        let taken = self.grammar.take(&self.line);
        taken.map_err(|what| self.malformed(&what))
    }

    fn damaged(&mut self, error: &io::Error) -> InputError {
        self.lines_read += 1;
        self.malformed(&error.to_string())
    }

    fn malformed(&self, what: &str) -> InputError {
        let line = self.lines_read.max(1);
        InputError::Malformed { path: self.path.clone(), line, what: what.to_owned() }
    }
}
