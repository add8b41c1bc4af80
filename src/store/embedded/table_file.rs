//! The files of a tree's tables. At their end they have a table of contents, whose length the
//! engine believes before it looks at the checksum: with one bit changed it asks for more memory
//! than there is, and the process ends without a word. So the checksum is looked at here, before
//! the engine starts.
//!
//! The end of a file, integers little-endian: the contents; `SFA!`, 1 for the version, 0 for the
//! kind of checksum, xxh3 of the contents in 16 bytes, their place and their length in 8 each.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_128;

use crate::store::StoreError;

/// Where a tree keeps its tables.
const TABLES: &str = "tables";
const MAGIC: [u8; 6] = *b"SFA!\x01\0";
const TRAILER_BYTES: u64 = 6 + 16 + 8 + 8;
/// Contents are some hundred bytes long.
const CONTENTS_BYTES_MAX: u64 = 64 * 1024;

/// Checks all tables of the tree in the folder `tree`.
pub(super) fn check_all(tree: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(tree.join(TABLES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io_error)?,
    };
    for entry in entries {
        let path = entry.map_err(io_error)?.path();
        if path.is_file() && !is_whole(&File::open(&path).map_err(io_error)?).map_err(io_error)? {
            return Err(StoreError::Corrupt(
                format!(
                    "{} does not match its checksum; put the data directory back from a backup",
                    path.display()
                )
                .into(),
            ));
        }
    }
    Ok(())
}

fn is_whole(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    // What is not finished yet the engine takes away.
    let Some(at) = length.checked_sub(TRAILER_BYTES) else { return Ok(true) };
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut trailer, at)?;
    let Some(rest) = trailer.strip_prefix(&MAGIC) else { return Ok(true) };
    let sum = u128::from_le_bytes(rest[..16].try_into().unwrap_or_default());
    let number =
        |from: usize| u64::from_le_bytes(rest[from..from + 8].try_into().unwrap_or_default());
    let (place, bytes) = (number(16), number(24));
    if bytes > CONTENTS_BYTES_MAX || place.checked_add(bytes) != Some(at) {
        return Ok(false);
    }
    let mut contents = vec![0; bytes as usize];
    file.read_exact_at(&mut contents, place)?;
    Ok(xxh3_128(&contents) == sum)
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(Arc::new(error))
}
