//! What a journal needs of a disk: one folder with flat names, files, and leave to say what must
//! survive a power cut.

mod faults;
mod folder;
mod simulated;

use std::io;

pub use faults::{DiskCall, DiskFaults};
pub use folder::FolderDisk;
pub use simulated::{Image, SimulatedDisk};

/// The folder of a journal in the data directory.
pub const FOLDER: &str = "journal";

/// A folder.
pub trait Disk: Send + Sync + 'static {
    /// The names of all files, in order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A new file, or an old one made empty.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// A file that is there, to be read and written.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, whose file it replaces.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names survive a power cut: what was created, renamed or removed.
    fn sync(&self) -> io::Result<()>;
    /// Locks a file, made if it is not there, until the answer is dropped; `WouldBlock` where
    /// another has it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send + Sync>>;
    /// Bytes that are free on the disk.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Where it is, for messages.
    fn path(&self) -> String;
}

/// An open file of a [`Disk`].
#[allow(clippy::len_without_is_empty, reason = "asking for a length may fail")]
pub trait DiskFile: Send {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Fills `into` with what is at `offset`; `UnexpectedEof` where the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, beyond the end too.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written survive a power cut.
    fn sync_data(&self) -> io::Result<()>;
    /// As [`Self::sync_data`], with all that the system knows of the file.
    fn sync_all(&self) -> io::Result<()>;
}
