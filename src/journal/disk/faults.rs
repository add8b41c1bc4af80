//! Faults of a simulated disk, asked for call by call, so that a test says exactly what breaks.

use std::{collections::HashMap, io, sync::Arc};

use parking_lot::Mutex;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the calls of `Disk` and `DiskFile`")]
pub enum DiskCall {
    Names,
    Create,
    Open,
    Rename,
    Remove,
    SyncFolder,
    Lock,
    FreeBytes,
    Len,
    Read,
    Write,
    SyncData,
    SyncAll,
}

impl DiskCall {
    /// Whether the call can change what a power cut leaves.
    fn changes(self) -> bool {
        !matches!(self, Self::Names | Self::Open | Self::Lock | Self::FreeBytes | Self::Len)
            && self != Self::Read
    }
}

/// How a call ends that a fault meets.
pub(super) struct Fault {
    pub(super) error: io::Error,
    /// Of a write: how much of it is done all the same.
    pub(super) written: usize,
    /// The disk has stopped: what was not synced before is as the power cut finds it.
    pub(super) stopped: bool,
}

struct Rule {
    call: DiskCall,
    name: Option<String>,
    /// Calls that this rule lets pass.
    passes: u64,
    /// Whether it stays once it was met.
    stays: bool,
    written: usize,
    errno: i32,
}

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    calls: HashMap<DiskCall, u64>,
    /// Changing calls that still work.
    changes_left: Option<u64>,
}

/// The faults of a [`SimulatedDisk`](super::SimulatedDisk); clones are the same faults.
#[derive(Clone, Default)]
pub struct DiskFaults(Arc<Mutex<Inner>>);

impl DiskFaults {
    /// The `nth` such call from now fails with `errno`; 1 is the next one.
    pub fn fail(&self, call: DiskCall, nth: u64, errno: i32) {
        self.add(call, None, nth, false, 0, errno);
    }

    /// As [`Self::fail`], of calls on the file called `name`.
    pub fn fail_on(&self, call: DiskCall, name: &str, nth: u64, errno: i32) {
        self.add(call, Some(name.to_owned()), nth, false, 0, errno);
    }

    /// Every such call fails with `errno` until [`Self::mend`].
    pub fn fail_all(&self, call: DiskCall, errno: i32) {
        self.add(call, None, 1, true, 0, errno);
    }

    /// As [`Self::fail_all`], of calls on the file called `name`.
    pub fn fail_all_on(&self, call: DiskCall, name: &str, errno: i32) {
        self.add(call, Some(name.to_owned()), 1, true, 0, errno);
    }

    /// The `nth` write from now writes its first `bytes` and then fails with `errno`.
    pub fn cut_write(&self, nth: u64, bytes: usize, errno: i32) {
        self.add(DiskCall::Write, None, nth, false, bytes, errno);
    }

    /// After `calls` more calls that change something, all such calls fail: the moment before a
    /// power cut, if one takes the disk's power then.
    pub fn stop_after(&self, calls: u64) {
        self.0.lock().changes_left = Some(calls);
    }

    /// Takes all faults back.
    pub fn mend(&self) {
        let mut inner = self.0.lock();
        inner.rules.clear();
        inner.changes_left = None;
    }

    /// How often the call was made, failed ones included.
    pub fn calls(&self, call: DiskCall) -> u64 {
        self.0.lock().calls.get(&call).copied().unwrap_or(0)
    }

    fn add(
        &self,
        call: DiskCall,
        name: Option<String>,
        nth: u64,
        stays: bool,
        written: usize,
        errno: i32,
    ) {
        let passes = nth.saturating_sub(1);
        self.0.lock().rules.push(Rule { call, name, passes, stays, written, errno });
    }

    /// Counts a call on `name` and says whether a fault meets it.
    pub(super) fn meet(&self, call: DiskCall, name: Option<&str>) -> Result<(), Fault> {
        let mut inner = self.0.lock();
        *inner.calls.entry(call).or_default() += 1;
        if call.changes()
            && let Some(left) = &mut inner.changes_left
        {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    let error = io::Error::from_raw_os_error(5);
                    return Err(Fault { error, written: 0, stopped: true });
                }
            }
        }
        let mut met = None;
        for (index, rule) in inner.rules.iter_mut().enumerate() {
            if rule.call != call || rule.name.as_deref().is_some_and(|wanted| Some(wanted) != name)
            {
                continue;
            }
            if rule.passes > 0 {
                rule.passes -= 1;
            } else if met.is_none() {
                met = Some(index);
            }
        }
        let Some(index) = met else { return Ok(()) };
        let rule = &inner.rules[index];
        let error = io::Error::from_raw_os_error(rule.errno);
        let fault = Fault { error, written: rule.written, stopped: false };
        if !rule.stays {
            inner.rules.remove(index);
        }
        Err(fault)
    }
}
