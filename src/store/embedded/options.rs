//! What an embedded store can be told when it is opened.

use std::{path::PathBuf, time::Duration};

const MIB: u64 = 1024 * 1024;

/// How much of its log the engine keeps at least; it takes no smaller setting.
const JOURNAL_BYTES_MIN: u64 = 64 * MIB;

/// Rows gathered in memory before they are written to a file of their own. No setting: the engine
/// keeps for ever what it was told when the store was made.
pub(super) const MEMTABLE_BYTES: u64 = 16 * MIB;

/// Memtables in memory at once: the active one and the four sealed ones at which writes wait.
const MEMTABLES_MAX: u64 = 5;

/// Where an embedded store is and what it may use.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The folder; made if it is not there. No other process may use it.
    pub path: PathBuf,
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Disk for the engine's own log before it writes memtables out early; less than 64 MiB counts
    /// as that.
    pub max_journal_bytes: u64,
    /// Threads that load and scan; 0 counts as 1.
    pub reader_threads: usize,
    /// Threads that write memtables out and merge files; 0 counts as 1.
    pub merge_threads: usize,
    /// Files kept open at most.
    pub open_files_max: usize,
    /// Whether commits that were to be durable are in the engine's log and nowhere else. Then
    /// damage in its middle is refused; otherwise the log ends where it is damaged, by a power cut
    /// or by whatever else.
    pub log_is_only_witness: bool,
    /// How long `persist` waits for the disk before it fails.
    pub persist_within: Duration,
}

impl EmbeddedOptions {
    /// The defaults, for a store in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 64 * MIB,
            max_journal_bytes: 128 * MIB,
            reader_threads: 2,
            merge_threads: 2,
            open_files_max: 256,
            log_is_only_witness: true,
            persist_within: Duration::from_secs(60),
        }
    }

    /// Memory that the store takes at most for rows and blocks, to be charged to the whole.
    pub fn memory_bytes(&self) -> u64 {
        self.cache_bytes.saturating_add(MEMTABLE_BYTES * MEMTABLES_MAX)
    }

    pub(super) fn journal_bytes(&self) -> u64 {
        self.max_journal_bytes.max(JOURNAL_BYTES_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_take_144_mib_and_small_journals_are_raised() {
        let options = EmbeddedOptions { max_journal_bytes: 1, ..EmbeddedOptions::new("x") };
        assert_eq!(options.memory_bytes(), 144 * MIB);
        assert_eq!(options.journal_bytes(), 64 * MIB);
    }
}
