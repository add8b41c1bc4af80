//! The disk under a path of this machine, and what a test can do to it while it is in use.

use std::{io, path::Path, sync::Arc};

use fuser::{BackgroundSession, Config, MountOption, spawn_mount};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::{disk::Disk, fault::Fault, serve::Served};
use crate::{node::Killer, tool::skipped};

/// What calls and tests share.
pub struct State {
    pub disk: Disk,
    /// The power goes at the n-th change or sync from now, and this ends who depends on it.
    pub cut: Option<(u64, Killer)>,
    /// The power is gone: nothing is read or written any more.
    pub dark: bool,
    /// Syncs are answered and not done.
    pub lying: bool,
    /// What is to go wrong yet.
    pub fault: Option<Fault>,
}

/// A mounted disk.
pub struct Mount {
    session: BackgroundSession,
    state: Arc<Mutex<State>>,
}

impl Mount {
    /// Whether a disk can be mounted on this machine; says so where not.
    pub fn is_possible() -> bool {
        let folder = TempDir::new().expect("there is room for a directory");
        match Self::new(Disk::default(), folder.path()) {
            Ok(mount) => {
                mount.unmount();
                true
            }
            Err(error) => {
                skipped(&format!(
                    "no file system can be mounted ({error}): give access to /dev/fuse, and the \
                     right to mount or fusermount3"
                ));
                false
            }
        }
    }

    /// Mounts a disk at `path`, an empty folder.
    pub fn new(disk: Disk, path: &Path) -> io::Result<Self> {
        let state = State { disk, cut: None, dark: false, lying: false, fault: None };
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

    /// Whether the power is gone.
    pub fn is_dark(&self) -> bool {
        self.state.lock().dark
    }

    /// From now on syncs are answered and not done.
    pub fn lie(&self) {
        self.state.lock().lying = true;
    }

    /// This is to go wrong.
    pub fn fail(&self, fault: Fault) {
        self.state.lock().fault = Some(fault);
    }

    /// Whether what was to go wrong has.
    pub fn has_failed(&self) -> bool {
        self.state.lock().fault.is_none()
    }

    /// Takes the disk away, as it is.
    pub fn unmount(self) -> Disk {
        match self.session.umount_and_join() {
            // So the kernel ends it where a request was under way.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            ended => ended.expect("nobody uses it any more"),
        }
        self.state.lock().disk.clone()
    }
}
