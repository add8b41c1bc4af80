//! What a process uses, as the kernel counts it: that of the server, and this one's own.

use std::{fs, path::PathBuf, time::Instant};

/// Linux shows processor time in this many parts of a second, on every machine it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where user and system time stand in `/proc/PID/stat`, counted from what follows the name.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// What a process had used by some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processor time since its start, of all its threads.
    pub cpu_seconds: f64,
    /// Memory that is resident.
    pub rss_bytes: u64,
}

/// Both processes at some moment; nothing of one that is gone, or where there is no `/proc`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Of this process.
    pub own: Option<Usage>,
    /// Of the server.
    pub server: Option<Usage>,
}

impl Sample {
    /// As it is now; of the server only where its process is known.
    pub fn take(pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            own: usage("self"),
            server: pid.and_then(|pid| usage(&pid.to_string())),
        }
    }

    /// Processors that the server used since `before`, in the mean.
    pub fn server_cores(&self, before: &Self) -> Option<f64> {
        self.cores(before, self.server, before.server)
    }

    /// Processors that this process used since `before`, in the mean.
    pub fn own_cores(&self, before: &Self) -> Option<f64> {
        self.cores(before, self.own, before.own)
    }

    fn cores(&self, before: &Self, now: Option<Usage>, then: Option<Usage>) -> Option<f64> {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        (seconds > 0.0).then_some((now?.cpu_seconds - then?.cpu_seconds) / seconds)
    }
}

/// What process `name` has used; `self` is this one.
fn usage(name: &str) -> Option<Usage> {
    let folder = PathBuf::from("/proc").join(name);
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let status = fs::read_to_string(folder.join("status")).ok()?;
    Some(Usage { cpu_seconds: cpu_seconds(&stat)?, rss_bytes: rss_bytes(&status)? })
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?) / TICKS_PER_SECOND)
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn fields_are_found_whatever_the_name_is() {
        let stat = "4242 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(rss_bytes("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2 << 20));
        assert_eq!(rss_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn cores_are_time_used_by_time_passed() {
        let at = Instant::now();
        let used = |cpu_seconds| Some(Usage { cpu_seconds, rss_bytes: 1 });
        let before = Sample { at, own: used(1.0), server: None };
        let after = Sample { at: at + Duration::from_secs(4), own: used(3.0), server: used(9.0) };
        assert_eq!(after.own_cores(&before), Some(0.5));
        assert_eq!(after.server_cores(&before), None);
        assert_eq!(before.own_cores(&before), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_found() {
        let sample = Sample::take(Some(std::process::id()));
        assert!(sample.own.unwrap().rss_bytes > 0 && sample.server.is_some());
        assert!(Sample::take(Some(u32::MAX)).server.is_none());
    }
}
