//! Which line may follow which: what is read of a dump so far, or written.

use crc32c::crc32c_append;

use super::{
    FORMAT,
    line::{self, Header, TRAILER_START, Trailer},
};
use crate::{
    cli::walk::{Place, place},
    proto::StateRecord,
};

/// The lines so far.
#[derive(Clone, Debug, Default)]
pub struct Grammar {
    /// From the first line; 0 before it.
    pub version: u64,
    /// States so far.
    pub rows: u64,
    /// The place of the last one.
    pub last: Option<Place>,
    /// Whether the last line is there.
    pub ended: bool,
    sum: u32,
}

impl Grammar {
    /// Takes the next line in, without its end; the state, where it is one of a state.
    ///
    /// # Errors
    /// What is wrong with it. Nothing is taken then.
    pub fn take(&mut self, line: &[u8]) -> Result<Option<StateRecord>, String> {
        if self.ended {
            return Err("the dump has ended before this line".to_owned());
        }
        if self.version == 0 {
            self.version = header(line)?;
        } else if line.starts_with(TRAILER_START) {
            let trailer: Trailer =
                serde_json::from_slice(line).map_err(|error| line::told(&error))?;
            if trailer != self.trailer() {
                return Err(self.is_not(&trailer));
            }
            self.ended = true;
            return Ok(None);
        } else {
            let state = line::to_state(line)?;
            if self.last.is_some_and(|last| place(&state) <= last) {
                return Err("the state is not behind the one before it".to_owned());
            }
            self.rows += 1;
            self.last = Some(place(&state));
            self.add(line);
            return Ok(Some(state));
        }
        self.add(line);
        Ok(None)
    }

    /// The first line.
    pub fn begin(&mut self, version: u64) -> serde_json::Result<Vec<u8>> {
        self.version = version;
        let line = serde_json::to_vec(&Header { readstates_dump: FORMAT, version })?;
        self.add(&line);
        Ok(line)
    }

    /// The line of the next state.
    pub fn put(&mut self, state: &StateRecord) -> serde_json::Result<Vec<u8>> {
        let line = line::of_state(state)?;
        self.rows += 1;
        self.last = Some(place(state));
        self.add(&line);
        Ok(line)
    }

    /// The last line.
    pub fn end(&mut self) -> serde_json::Result<Vec<u8>> {
        self.ended = true;
        serde_json::to_vec(&self.trailer())
    }

    /// The checksum of all lines so far but the last.
    pub fn sum(&self) -> String {
        format!("{:08x}", self.sum)
    }

    fn trailer(&self) -> Trailer {
        Trailer { rows: self.rows, crc32c: self.sum() }
    }

    fn is_not(&self, trailer: &Trailer) -> String {
        let Trailer { rows, crc32c } = trailer;
        let (found, sum) = (self.rows, self.sum());
        format!("{rows} states with checksum {crc32c} should be here, and {found} with {sum} are")
    }

    fn add(&mut self, line: &[u8]) {
        self.sum = crc32c_append(crc32c_append(self.sum, line), b"\n");
    }
}

fn header(line: &[u8]) -> Result<u64, String> {
    const NO_DUMP: &str = "this is no dump: it does not begin with {\"readstates_dump\":1,...}";
    let header: Header = serde_json::from_slice(line).map_err(|_| NO_DUMP.to_owned())?;
    match header.readstates_dump {
        _ if header.version == 0 => Err(NO_DUMP.to_owned()),
        FORMAT => Ok(header.version),
        other => Err(format!("it is a dump of format {other}, and {FORMAT} is the one known here")),
    }
}
