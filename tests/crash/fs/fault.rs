//! What goes wrong on a disk, and when.

use fuser::Errno;

/// A call that changes the disk or makes something last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Write,
    Resize,
    SyncFile,
    SyncFolder,
    Make,
    Rename,
    Remove,
}

/// How a call fails.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// Nothing is done. What a failed sync was to write is never written: the system takes it for
    /// clean, and later syncs succeed without it.
    Error(Errno),
    /// A write does half of it and says so.
    Short,
}

/// The n-th call of a kind from now fails; those after it succeed.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub call: Call,
    pub nth: u64,
    pub failure: Failure,
}

impl Fault {
    /// Counts a call; whether it is the one that fails.
    pub fn hits(&mut self, call: Call) -> bool {
        if self.call != call {
            return false;
        }
        self.nth = self.nth.saturating_sub(1);
        self.nth == 0
    }
}
