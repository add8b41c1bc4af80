//! The clock of the lease: it goes on while the machine is suspended, and nobody sets it.

use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};

/// The usual monotonic clock of Linux stands still in a suspend: a service that wakes up from one
/// would believe that no time had passed, and that its lease were still good.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
/// Elsewhere only the usual one has a name; that of macOS goes on in its sleep.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Milliseconds since some moment before this process began. A machine that is paused from outside,
/// by a hypervisor that stops its clocks as well, is the one sleep that it cannot see; what such a
/// machine still writes when it wakes, the ceiling makes harmless.
#[derive(Clone)]
pub struct BootClock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<dyn Fn() -> u64 + Send + Sync>),
}

impl BootClock {
    /// The machine's.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A test's: it is what `now_ms` says, which must not go back.
    pub fn manual(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Source::Manual(Arc::new(now_ms)))
    }

    /// The time now, in milliseconds.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => {
                let now = clock_gettime(CLOCK);
                now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
            }
            Source::Manual(now_ms) => now_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_goes_on() {
        let clock = BootClock::system();
        let began = clock.now_ms();
        assert!(began > 0);
        while clock.now_ms() == began {
            std::hint::spin_loop();
        }
        assert!(clock.now_ms() > began);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_the_one_that_suspends_do_not_stop() {
        // The kernel tells the time since boot, suspends included, to a hundredth of a second.
        let told = std::fs::read_to_string("/proc/uptime").expect("there is a /proc");
        let seconds = told.split(' ').next().expect("it has words");
        let uptime_ms = seconds.parse::<f64>().expect("a number") * 1000.0;
        let apart_ms = BootClock::system().now_ms() as f64 - uptime_ms;
        assert!((-50.0..5000.0).contains(&apart_ms), "{apart_ms}");
    }
}
