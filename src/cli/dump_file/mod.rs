//! The file of a dump: one JSON object a line, a state each, between a first line that says which
//! dump it is and a last one that says that it is whole.
//!
//! ```text
//! {"readstates_dump":1,"version":"1700000000000000"}
//! {"user_id":"1","channel_id":"2","type":"READ_STATE_TYPE_CHANNEL","version":"...",...}
//! {"rows":"1","crc32c":"0a1b2c3d"}
//! ```
//!
//! States are in order of (user, type, channel). 64-bit numbers are strings, as everywhere in this
//! program's JSON; what is not said is 0, false or empty. The checksum is that of all lines before.
//! In a file whose name ends in `.zst` the lines are in frames of zstd, a run of whole lines each:
//! what was cut off is readable, and can be gone on with, up to its last whole frame.

mod grammar;
mod kept;
mod line;
mod reader;
mod writer;

pub use kept::Kept;
pub use reader::{DumpReader, Survey};
pub use writer::DumpWriter;

use std::path::Path;

/// The format that is written, and the only one that is read.
const FORMAT: u64 = 1;
/// A longer line is none of a dump: a state has at most 128 ids.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Whether a file of that name is packed.
fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}
