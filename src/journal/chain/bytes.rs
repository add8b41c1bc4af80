//! The bytes of a file: all of them, or those that the disk still gives.

use std::io;

use crate::journal::{Disk, JournalError, SEGMENT_BYTES_MAX};

/// What a disk is asked for at once where it does not give all: its usual unit of failure.
const PIECE_BYTES: usize = 4096;

/// What a system says of a place of the disk that cannot be read (EIO).
const UNREADABLE: i32 = 5;

/// All of a file, in `buffer`.
pub(in crate::journal) fn read_file<'b>(
    disk: &dyn Disk,
    name: &str,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], JournalError> {
    read(disk, name, buffer, false)
}

/// As [`read_file`], with zeros for what the disk cannot read.
pub(in crate::journal) fn read_readable<'b>(
    disk: &dyn Disk,
    name: &str,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], JournalError> {
    read(disk, name, buffer, true)
}

/// Whether the disk cannot read a place any more, as opposed to all that may pass.
pub(super) fn is_unreadable(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { error, .. } if is_eio(error))
}

fn is_eio(error: &io::Error) -> bool {
    error.raw_os_error() == Some(UNREADABLE)
}

fn read<'b>(
    disk: &dyn Disk,
    name: &str,
    buffer: &'b mut Vec<u8>,
    pieces: bool,
) -> Result<&'b [u8], JournalError> {
    let mut read = || {
        let file = disk.open(name)?;
        let length = file.len()?;
        let length = usize::try_from(length).ok().filter(|_| length <= SEGMENT_BYTES_MAX);
        buffer.resize(length.ok_or(io::ErrorKind::FileTooLarge)?, 0);
        match file.read_at(0, buffer) {
            Err(error) if pieces && is_eio(&error) => {}
            read => return read,
        }
        for (index, piece) in buffer.chunks_mut(PIECE_BYTES).enumerate() {
            match file.read_at((index * PIECE_BYTES) as u64, piece) {
                Err(error) if is_eio(&error) => piece.fill(0),
                read => read?,
            }
        }
        Ok(())
    };
    read().map_err(|error| JournalError::io("reading", disk, name, error))?;
    Ok(buffer)
}
