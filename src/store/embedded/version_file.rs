//! The file in which the engine lists the tables of a tree. Its checksum is written beside it, and
//! the engine does not look at it: with one bit changed it could come up without some of the
//! tables, or ask for more memory than there is. So it is looked at here, before the engine starts.
//!
//! `current` of a tree, integers little-endian: the number N of the list `vN` in 8 bytes, xxh3 of
//! that file in 16, and 0 for this kind of checksum in 1.

use std::{fs, io, path::Path, sync::Arc};

use xxhash_rust::xxh3::xxh3_128;

use crate::store::StoreError;

/// Names the list that holds.
const CURRENT: &str = "current";
const CURRENT_BYTES: usize = 8 + 16 + 1;
/// The only kind of checksum that is known.
const XXH3: u8 = 0;

/// Checks the list of the tree in the folder `tree`. One without `current` is not finished.
pub(super) fn check(tree: &Path) -> Result<(), StoreError> {
    let current = tree.join(CURRENT);
    let bytes = match fs::read(&current) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(io_error)?,
    };
    let (number, sum) = parse(&bytes).ok_or_else(|| damaged(&current))?;
    let list = tree.join(format!("v{number}"));
    match fs::read(&list) {
        Ok(bytes) if xxh3_128(&bytes) == sum => Ok(()),
        Ok(_) => Err(damaged(&list)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(&current)),
        Err(error) => Err(io_error(error)),
    }
}

fn parse(bytes: &[u8]) -> Option<(u64, u128)> {
    let bytes: &[u8; CURRENT_BYTES] = bytes.try_into().ok()?;
    let (number, rest) = bytes.split_first_chunk()?;
    let (sum, kind) = rest.split_first_chunk()?;
    (kind == [XXH3]).then(|| (u64::from_le_bytes(*number), u128::from_le_bytes(*sum)))
}

fn damaged(file: &Path) -> StoreError {
    StoreError::Corrupt(
        format!(
            "{} does not match its checksum; put the data directory back from a backup",
            file.display()
        )
        .into(),
    )
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(Arc::new(error))
}
