//! The threads of this process by their names: where they run, and how much they took.

use std::{collections::BTreeMap, fs, io, ops::Sub, time::Duration};

use rustix::thread::Pid;

use crate::cores::confine;

const TASKS: &str = "/proc/self/task";

/// Confines every thread whose name begins so to one processor.
pub fn confine_named(prefix: &str, core: usize) -> io::Result<()> {
    for (id, name) in threads()? {
        if name.starts_with(prefix) {
            confine(Pid::from_raw(id), core)?;
        }
    }
    Ok(())
}

/// Ids and names.
fn threads() -> io::Result<Vec<(i32, String)>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(TASKS)? {
        let id = task?.file_name().to_string_lossy().parse().map_err(io::Error::other)?;
        // A thread may end at any time.
        if let Ok(name) = fs::read_to_string(format!("{TASKS}/{id}/comm")) {
            threads.push((id, name.trim_end().to_owned()));
        }
    }
    Ok(threads)
}

/// Processor time until now, by the names of threads; of threads that ended, nothing.
#[derive(Clone, Debug, Default)]
pub struct Spent(BTreeMap<String, Duration>);

impl Spent {
    pub fn now() -> io::Result<Self> {
        let mut spent = BTreeMap::<String, Duration>::new();
        for (id, name) in threads()? {
            let stat = fs::read_to_string(format!("{TASKS}/{id}/schedstat")).unwrap_or_default();
            let ns = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
            *spent.entry(name).or_default() += Duration::from_nanos(ns.unwrap_or(0));
        }
        Ok(Self(spent))
    }

    /// Of the threads whose names begin so.
    pub fn of(&self, prefix: &str) -> Duration {
        let named = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(_, spent)| *spent).sum()
    }
}

impl Sub<&Spent> for Spent {
    type Output = Self;

    fn sub(mut self, before: &Self) -> Self {
        for (name, spent) in &mut self.0 {
            *spent = spent.saturating_sub(before.0.get(name).copied().unwrap_or_default());
        }
        self
    }
}
