//! The limits of a journal.

const MIB: u64 = 1 << 20;

/// How large a journal's files and buffers may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Length of a new segment, in bytes.
    pub segment_bytes: u64,
    /// Records that wait to be written take at most this many bytes.
    pub pending_bytes_max: usize,
    /// From this many bytes on disk on, states are copied forward and segments removed.
    pub size_bytes: u64,
    /// Bytes of the disk that stay free; below that nothing new is taken.
    pub reserve_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * MIB,
            pending_bytes_max: 16 << 20,
            size_bytes: 1024 * MIB,
            reserve_bytes: 128 * MIB,
        }
    }
}
