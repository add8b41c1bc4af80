//! The crash journal: what was acknowledged and is not yet in the store, in files of our own.
//!
//! ```text
//! <data-dir>/journal/lock                            one process at a time
//!                    manifest                        what the store has (I11), which files count
//!                    00000000000000000001.segment    groups of records, each made durable at once
//!                    spare.new                       the next segment, being prepared
//! ```
//!
//! A journal is read as a whole before it changes: damage is refused, never skipped; only a torn
//! last group, which nobody was told of, is dropped. `readstates journal repair` keeps what still
//! checks where an operator accepts the loss.
//!
//! ```text
//! reserve     bytes in memory and on the disk, waits for them       no lock
//! append      encode into the open group, take its sequence         shard's lock, then the tail's
//! writer      take the group, the other buffer fills meanwhile
//!             write, sync; where the segment is full, the next one
//!             publish the sequence, ring a herald per runtime
//! reached     woken by the herald
//! advance     write the horizon down, remove segments before it     flusher's thread
//! ```

mod advance;
mod allowance;
mod begin;
mod bell;
mod block;
mod books;
mod chain;
mod current;
mod damage;
mod disk;
mod durable;
mod error;
mod frame;
mod gaps;
mod group;
mod handle;
mod id;
mod inspect;
mod lane;
mod limits;
mod link;
mod manifest;
mod numbers;
mod offer;
mod offering;
mod options;
mod record;
mod recovery;
mod repair;
mod reservation;
mod scan;
mod segment;
mod shared;
mod spare;
mod survey;
mod sync;
mod tail;
mod thread;
mod usage;
mod writer;

pub use damage::Damage;
pub use disk::{Disk, DiskCall, DiskFaults, DiskFile, FOLDER, FolderDisk, Image, SimulatedDisk};
pub use error::JournalError;
pub use gaps::Gaps;
pub use group::{GROUP_BYTES_MAX, GROUP_HEADER_BYTES, Home, close_group, group_bytes, open_group};
pub use handle::Journal;
pub use id::{JournalId, SegmentId};
pub use inspect::{Ending, Inspection, SegmentSummary, Torn};
pub use limits::SEGMENT_BYTES_MIN;
pub use link::Link;
pub use manifest::Manifest;
pub use offer::{OFFER_CHUNK_BYTES, OfferChunk, UnreadableChunk};
pub use offering::{OfferCount, OfferError, Offering};
pub use options::JournalOptions;
pub use record::{
    RECORD_BYTES_MAX, Record, put_ceiling, put_deletion, put_next, put_seal, put_state,
};
pub use recovery::{Heal, Recovery, Replayed};
pub use repair::{Repair, Rewritten};
pub use reservation::Reservation;
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader, Spare};
pub use thread::WriterThread;
pub use usage::Usage;
pub use writer::{Step, Writer};
