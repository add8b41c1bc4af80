//! A file system that loses power: what was written shows at once and lasts only once it was
//! synced. Contents last by fsync or fdatasync of their file, names by fsync of their folder, and
//! nothing else makes anything last.
//!
//! A power cut keeps, of what was not synced, whatever a disk might: any pieces of the writes, and
//! for each folder the first few of its changed names.
//!
//! Left out because no part of the program does it: links, renames from one folder to another
//! (refused as if to another disk), memory maps, attributes beyond a size.

mod content;
mod disk;
mod fault;
mod file;
mod folder;
mod mount;
mod serve;

pub use disk::Disk;
pub use fault::{Call, Failure, Fault};
pub use mount::Mount;
