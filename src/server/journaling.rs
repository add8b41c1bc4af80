//! The journal of a running server: where it lies, its writer's thread, its end.

use tokio::task::{JoinHandle, spawn_blocking};

use super::StartError;
use crate::{
    config::{Config, Durability, StoreKind},
    flush,
    journal::{FOLDER, FolderDisk, Journal, JournalOptions, Recovery, WriterThread},
    model::Version,
};

/// A journal with all that keeps it going.
pub(super) struct Journaling {
    pub journal: Journal,
    pub writer: WriterThread,
    /// Wakes the waiters of this runtime.
    pub herald: JoinHandle<()>,
}

/// Whether this server writes a journal: beside a store that ends with it, it would be in vain.
pub(super) fn keeps_journal(config: &Config) -> bool {
    config.durability == Durability::Journal && config.store != StoreKind::Memory
}

/// Takes and reads the journal, where there is one or is to be one. From here on no other process
/// can use the data directory.
pub(super) async fn find(config: &Config) -> Result<Option<Recovery>, StartError> {
    let left_over = || config.data_dir.join(FOLDER).exists();
    if config.store == StoreKind::Memory || (!keeps_journal(config) && !left_over()) {
        return Ok(None);
    }
    let (data_dir, options) = (config.data_dir.clone(), options(config));
    let opened = spawn_blocking(move || Recovery::open_in(&data_dir, options)).await;
    let opened = opened.map_err(|error| StartError::Assembly(error.to_string()))?;
    Ok(Some(opened?))
}

/// Removes the folder of a journal that was given up, so that no later start looks into it. The
/// lock in it is not needed any more: the store has one of its own.
pub(super) async fn forget(config: &Config) {
    let data_dir = config.data_dir.clone();
    let removed = spawn_blocking(move || FolderDisk::remove_of_journal(&data_dir)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, "the empty folder of the journal stays");
    }
}

fn options(config: &Config) -> JournalOptions {
    JournalOptions {
        segment_bytes: config.journal_segment_size,
        pending_bytes_max: config.journal_buffer as usize,
        size_bytes: config.journal_size,
        reserve_bytes: config.disk_reserve,
    }
}

/// Memory that the journal takes at most: what is open and what is being written, and what the
/// store has confirmed and not persisted.
pub(super) fn memory_bytes(config: &Config) -> u64 {
    if !keeps_journal(config) {
        return 0;
    }
    options(config).memory_bytes() as u64 + flush::UNPERSISTED_BYTES_MAX
}

impl Journaling {
    /// Makes the end durable: after that, damage at the end is told from a torn write.
    pub async fn close(self, newest: Option<Version>) {
        let closed = spawn_blocking(move || self.writer.close(newest)).await;
        if let Ok(Err(error)) = closed {
            tracing::error!(%error, "the journal did not close cleanly; nothing is lost by that");
        }
        self.herald.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_that_is_announced_is_what_the_journal_takes() {
        let default = Config::default();
        let of = |journal_buffer, journal_segment_size| {
            let config = Config { journal_buffer, journal_segment_size, ..default.clone() };
            memory_bytes(&config) - flush::UNPERSISTED_BYTES_MAX
        };
        let about = |bytes: u64, mib: u64| (mib << 20).abs_diff(bytes) < 200 << 10;
        assert!(about(of(1 << 20, 64 << 20), 2), "{}", of(1 << 20, 64 << 20));
        assert!(about(of(16 << 20, 64 << 20), 32), "{}", of(16 << 20, 64 << 20));
        // No more waits than an empty segment has room for.
        assert!(about(of(16 << 20, 1 << 20), 2), "{}", of(16 << 20, 1 << 20));
        let memory = Config { durability: Durability::Memory, ..default.clone() };
        assert_eq!(memory_bytes(&memory), 0);
    }
}
