//! Message ids that rise with the time, so that every ack of a key moves its watermark, also those
//! of another thread, and of another run later.

use std::{
    cell::Cell,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Snowflakes count milliseconds from 2015-01-01 UTC on.
const EPOCH_MS: u64 = 1_420_070_400_000;
/// The milliseconds of a snowflake stand above so many bits.
const SEQUENCE_BITS: u32 = 22;
/// Of those the lowest tell one thread from another ...
const THREAD_BITS: u32 = 6;
/// ... of which there are this many, at most.
pub const THREADS_MAX: usize = 1 << THREAD_BITS;
/// The bits between count the time within the millisecond in steps of this.
const STEP_NS: u64 = 16;

/// A moment, and how long after the epoch of snowflakes it was. One for all threads: a pause
/// between the reading of the two clocks would set one thread before the others.
static BASE: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
    let epoch = UNIX_EPOCH + Duration::from_millis(EPOCH_MS);
    // A clock before 2015 gives small ids, which rise all the same.
    let offset = SystemTime::now().duration_since(epoch).unwrap_or(Duration::from_secs(1));
    (Instant::now(), offset)
});

/// The ids that one thread draws.
#[derive(Debug)]
pub struct Ids {
    thread: u64,
    last: Cell<u64>,
}

impl Ids {
    /// Ids of thread number `thread`, which is below [`THREADS_MAX`].
    pub fn new(thread: usize) -> Self {
        LazyLock::force(&BASE);
        Self { thread: thread as u64, last: Cell::new(0) }
    }

    /// The next id: above all that were drawn before it, and `now`'s.
    pub fn next(&self, now: Instant) -> u64 {
        let (since, offset) = *BASE;
        let time = offset + now.saturating_duration_since(since);
        let (ms, ns) = (time.as_millis() as u64, u64::from(time.subsec_nanos()) % 1_000_000);
        let of_now = (ms << SEQUENCE_BITS) | ((ns / STEP_NS) << THREAD_BITS) | self.thread;
        let id = of_now.max(self.last.get() + (1 << THREAD_BITS));
        self.last.set(id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_no_two_threads_share_one() {
        let (some, others, now) = (Ids::new(0), Ids::new(THREADS_MAX - 1), Instant::now());
        let drawn: Vec<_> = (0..100_000).map(|_| some.next(now)).collect();
        assert!(drawn.is_sorted_by(|a, b| a < b));
        let of_others = (0..100_000).map(|_| others.next(now));
        assert!(of_others.into_iter().all(|id| drawn.binary_search(&id).is_err()));
    }

    #[test]
    fn later_is_larger_also_in_another_thread() {
        let (some, others) = (Ids::new(5), Ids::new(0));
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        assert!(some.next(now) < others.next(later));
        assert!(others.next(later) < some.next(later + Duration::from_micros(1)));
    }
}
