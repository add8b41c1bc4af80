//! Writes a dump, so that what is there of it at any moment can be read and gone on with.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write},
    path::Path,
};

use super::{Kept, grammar::Grammar, is_packed};
use crate::proto::StateRecord;

/// Bytes of lines that are written at a time, in a frame of their own where they are packed.
const RUN_BYTES: usize = 256 << 10;
const LEVEL: i32 = 3;

/// A dump on its way into a file, or to stdout.
pub struct DumpWriter {
    out: Out,
    packed: bool,
    grammar: Grammar,
    run: Vec<u8>,
}

enum Out {
    File(File),
    Stdout,
}

impl DumpWriter {
    /// To stdout, as lines.
    pub fn to_stdout() -> Self {
        Self::new(Out::Stdout, false, Grammar::default())
    }

    /// To a new file.
    ///
    /// # Errors
    /// Those of the system, also where there is such a file already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self::new(Out::File(file), is_packed(path), Grammar::default()))
    }

    /// Behind what is kept of a file; the rest of it goes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn go_on(path: &Path, kept: Kept) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(kept.bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self::new(Out::File(file), is_packed(path), kept.grammar))
    }

    fn new(out: Out, packed: bool, grammar: Grammar) -> Self {
        Self { out, packed, grammar, run: Vec::with_capacity(RUN_BYTES) }
    }

    /// States written so far, those kept included.
    pub fn rows(&self) -> u64 {
        self.grammar.rows
    }

    /// Writes the first line, where it is not there, at once: from here on it can be gone on with.
    pub fn begin(&mut self, version: u64) -> io::Result<()> {
        if self.grammar.version == 0 {
            let line = self.grammar.begin(version)?;
            self.add(&line);
            self.flush()?;
        }
        Ok(())
    }

    /// Writes a state, in the order of a dump.
    pub fn put(&mut self, state: &StateRecord) -> io::Result<()> {
        let line = self.grammar.put(state)?;
        self.add(&line);
        if self.run.len() >= RUN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the last line, and has the file on disk.
    pub fn end(mut self) -> io::Result<()> {
        let line = self.grammar.end()?;
        self.add(&line);
        self.flush()?;
        match &self.out {
            Out::File(file) => file.sync_all(),
            Out::Stdout => Ok(()),
        }
    }

    /// Writes what is held back.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let packed = if self.packed { Some(pack(&self.run)?) } else { None };
        let bytes = packed.as_deref().unwrap_or(&self.run);
        match &mut self.out {
            Out::File(file) => file.write_all(bytes)?,
            Out::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
            }
        }
        self.run.clear();
        Ok(())
    }

    fn add(&mut self, line: &[u8]) {
        self.run.extend_from_slice(line);
        self.run.push(b'\n');
    }
}

fn pack(run: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(run)?;
    encoder.finish()
}
