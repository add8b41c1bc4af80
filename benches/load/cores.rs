//! Which processor a thread runs on.

use std::io;

use rustix::thread::{CpuSet, Pid, sched_setaffinity};

/// Confines a thread, or the one that calls, and those it starts from now on, to one processor.
/// Does nothing where there is only one.
pub fn confine(thread: Option<Pid>, core: usize) -> io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(thread, &set)?)
}
