//! Watches how much memory the process has against how much it may have: what asks for much is
//! refused before the system ends the process for it.

use std::{fs, path::Path, time::Duration};

use prometheus::IntGauge;
use tokio::time::interval;
use tracing::{info, warn};

use crate::{config::Config, metrics::Metrics, rpc::Admission};

/// Looks this often: what fills a tenth of the memory takes longer, or is bounded by less.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of the limit, in percent, from which on memory is short, and below which it is not any more.
const SHORT_PERCENT: u64 = 90;
const ENOUGH_PERCENT: u64 = 85;
/// Where the system tells of itself.
const PROC: &str = "/proc/self";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// What no machine has: a limit of the older control groups that is none.
const UNLIMITED: u64 = 1 << 60;

/// The limit, and what is told of it.
#[derive(Clone)]
pub(super) struct MemoryWatch {
    limit: Option<u64>,
    used: IntGauge,
}

impl MemoryWatch {
    /// With the limit of the settings, or that of the control group.
    pub fn new(config: &Config, metrics: &Metrics) -> Self {
        let groups = || group_limit(Path::new(PROC), Path::new(CONTROL_GROUPS));
        let limit = config.memory_limit.or_else(groups);
        metrics.memory.limit_bytes.set(limit.unwrap_or(0) as i64);
        Self { limit, used: metrics.memory.used_bytes.clone() }
    }

    /// Warns where what the parts were given is more than there may be.
    pub fn compare(&self, given: u64) {
        if let Some(limit) = self.limit.filter(|limit| judge(given, *limit, false)) {
            warn!(
                given,
                limit,
                "the settings give out nine tenths of the memory that this process may have, or \
                 more: lower cache-memory or raise the limit"
            );
        }
    }

    /// Tells `admission` when memory is short, for ever.
    pub async fn keep(self, admission: Admission) {
        let mut ticks = interval(LOOK_EVERY);
        let mut is_short = false;
        loop {
            ticks.tick().await;
            let Some(used) = used(Path::new(PROC)) else { continue };
            self.used.set(used as i64);
            let Some(limit) = self.limit else { continue };
            let was_short = is_short;
            is_short = judge(used, limit, was_short);
            if is_short != was_short {
                admission.short_of_memory(is_short);
                match is_short {
                    true => warn!(used, limit, "memory is short: only single states are served"),
                    false => info!(used, limit, "there is memory again"),
                }
            }
        }
    }
}

/// Whether memory is short now, if it `was_short` at the last look.
fn judge(used: u64, limit: u64, was_short: bool) -> bool {
    let percent = if was_short { ENOUGH_PERCENT } else { SHORT_PERCENT };
    u128::from(used) * 100 >= u128::from(limit) * u128::from(percent)
}

/// Bytes of this process that the system cannot take back.
fn used(proc: &Path) -> Option<u64> {
    let status = fs::read_to_string(proc.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The least of what the process's control group and those around it may have.
fn group_limit(proc: &Path, groups: &Path) -> Option<u64> {
    let lines = fs::read_to_string(proc.join("cgroup")).ok()?;
    let limits = lines.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        match controllers {
            "" => least(groups, path, "memory.max"),
            "memory" => least(&groups.join("memory"), path, "memory.limit_in_bytes"),
            _ => None,
        }
    });
    limits.min()
}

/// The least limit from the group at `path` up to `root`.
fn least(root: &Path, path: &str, file: &str) -> Option<u64> {
    let inner = root.join(path.trim_start_matches('/'));
    let groups = inner.ancestors().take_while(|group| group.starts_with(root));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.trim().parse().ok().filter(|limit| *limit < UNLIMITED)
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_nine_tenths_on_until_it_is_well_below() {
        assert!(!judge(899, 1000, false));
        assert!(judge(900, 1000, false));
        assert!(judge(899, 1000, true));
        assert!(judge(850, 1000, true));
        assert!(!judge(849, 1000, true));
    }

    #[test]
    fn this_process_has_some_memory() {
        assert!(used(Path::new(PROC)).is_some_and(|used| used > 1 << 16));
    }

    #[test]
    fn the_least_limit_around_the_process_holds_in_both_kinds_of_groups() {
        let folder = tempfile::tempdir().expect("a folder");
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("cgroup"));
        let write = |path: std::path::PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write(proc.join("cgroup"), "0::/a/b\n");
        assert_eq!(group_limit(&proc, &groups), None);
        write(groups.join("a/b/memory.max"), "max\n");
        write(groups.join("a/memory.max"), "4096\n");
        write(groups.join("memory.max"), "8192\n");
        assert_eq!(group_limit(&proc, &groups), Some(4096));
        write(proc.join("cgroup"), "5:cpu:/x\n4:memory:/c\n0::/\n");
        write(groups.join("memory/c/memory.limit_in_bytes"), "2048\n");
        write(groups.join("memory/memory.limit_in_bytes"), "9223372036854771712\n");
        assert_eq!(group_limit(&proc, &groups), Some(2048));
    }
}
