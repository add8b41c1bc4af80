//! Sleeping until a moment, to some ten microseconds: the timers of tokio know only milliseconds.

use std::time::Instant;

/// A timer of one thread.
#[derive(Debug)]
pub struct Timer {
    #[cfg(target_os = "linux")]
    kernel: Option<kernel::Alarm>,
}

impl Timer {
    /// A timer of the kernel's, where it has one to give.
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            kernel: kernel::Alarm::new().ok(),
        }
    }

    /// Sleeps until `moment`; without a timer of the kernel's up to a millisecond longer.
    pub async fn until(&self, moment: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(alarm) = &self.kernel
            && alarm.until(moment).await.is_ok()
        {
            return;
        }
        tokio::time::sleep_until(moment.into()).await;
    }
}

/// Linux tells through a file when the time has come.
#[cfg(target_os = "linux")]
mod kernel {
    use std::{
        io,
        os::fd::OwnedFd,
        time::{Duration, Instant},
    };

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    /// The file.
    #[derive(Debug)]
    pub struct Alarm(AsyncFd<OwnedFd>);

    /// Deprecated because a file could be closed while it is watched. An `OwnedFd` cannot; the
    /// function's successor would be unsafe code, which this crate does without.
    #[allow(deprecated)]
    fn watched(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(file, Interest::READABLE)
    }

    impl Alarm {
        pub fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(watched(file)?))
        }

        pub async fn until(&self, moment: Instant) -> io::Result<()> {
            let wait = moment.saturating_duration_since(Instant::now());
            self.set(wait)?;
            while Instant::now() < moment {
                let mut readable = self.0.readable().await?;
                let mut times = [0; 8];
                match rustix::io::read(self.0.get_ref(), &mut times) {
                    Ok(_) => return Ok(()),
                    Err(rustix::io::Errno::AGAIN) => readable.clear_ready(),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }

        fn set(&self, wait: Duration) -> io::Result<()> {
            // Nothing at all would turn it off.
            let wait = wait.max(Duration::from_nanos(1));
            let it_value = Timespec {
                tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_wakes_too_early() {
        let timer = Timer::new();
        for micros in [0, 1, 50, 300, 1_000, 2_500] {
            let moment = Instant::now() + Duration::from_micros(micros);
            timer.until(moment).await;
            assert!(Instant::now() >= moment, "{micros}");
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_leaves_the_next_one_right() {
        let timer = Timer::new();
        let far = Instant::now() + Duration::from_secs(3_600);
        tokio::select! {
            () = timer.until(far) => panic!("an hour has not passed"),
            () = tokio::task::yield_now() => {}
        }
        let near = Instant::now() + Duration::from_millis(2);
        timer.until(near).await;
        assert!(Instant::now() >= near);
    }
}
