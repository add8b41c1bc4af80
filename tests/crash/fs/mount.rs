//! The disk under a path of this machine, and what a test can do to it while it is in use.

use std::{io, path::Path, sync::Arc};

use fuser::{BackgroundSession, Config, MountOption, spawn_mount};
use parking_lot::Mutex;

use super::{disk::Disk, serve::Served};
use crate::node::Killer;

/// What calls and tests share.
pub struct State {
    pub disk: Disk,
    /// The power goes at the n-th change or sync from now, and this ends who depends on it.
    pub cut: Option<(u64, Killer)>,
    /// The power is gone: nothing is read or written any more.
    pub dark: bool,
    /// Syncs are answered and not done.
    pub lying: bool,
    /// The n-th sync of a file from now fails.
    pub failing_sync: Option<u64>,
}

/// A mounted disk.
pub struct Mount {
    session: BackgroundSession,
    state: Arc<Mutex<State>>,
}

impl Mount {
    /// Mounts a disk at `path`, an empty folder.
    pub fn new(disk: Disk, path: &Path) -> io::Result<Self> {
        let state = State { disk, cut: None, dark: false, lying: false, failing_sync: None };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("readstates-test".to_owned())];
        let session = spawn_mount(Served::new(Arc::clone(&state)), path, &config)?;
        Ok(Self { session, state })
    }

    /// The power is to go at the n-th change or sync from now; `killer` ends who depends on it.
    pub fn cut_after(&self, changes: u64, killer: Killer) {
        self.state.lock().cut = Some((changes, killer));
    }

    /// From now on syncs are answered and not done.
    pub fn lie(&self) {
        self.state.lock().lying = true;
    }

    /// The n-th sync of a file from now is to fail, and what it was to sync is never written.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.state.lock().failing_sync = Some(syncs);
    }

    /// Whether the sync that was to fail has failed.
    pub fn has_failed_sync(&self) -> bool {
        self.state.lock().failing_sync.is_none()
    }

    /// Takes the disk away, as it is.
    pub fn unmount(self) -> Disk {
        self.session.umount_and_join().expect("nobody uses it any more");
        self.state.lock().disk.clone()
    }
}
