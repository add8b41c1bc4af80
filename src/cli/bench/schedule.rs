//! An open loop: when each call is meant to be sent, whatever the server does.
//!
//! Calls are spread evenly, on ticks of [`TICK`]: where a thread makes more calls than there are
//! ticks, some share one and are sent together. So the moment a call is meant for is one at which a
//! timer can wake the generator, and no latency holds a wait for a timer's next beat.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{period::Period, plan::Plan};

/// Calls are meant for multiples of this.
pub const TICK: Duration = Duration::from_micros(100);

/// The moments of one thread. Each is given away once, in order.
#[derive(Debug)]
pub struct Schedule {
    begin: Instant,
    /// Between two calls of all threads together.
    every_ns: f64,
    threads: u64,
    thread: u64,
    next: Cell<u64>,
}

impl Schedule {
    /// The moments of thread number `thread`; `None` for a closed loop.
    pub fn new(plan: &Plan, begin: Instant, thread: usize) -> Option<Self> {
        let every_ns = 1e9 / plan.rate?;
        let (threads, thread) = (plan.threads as u64, thread as u64);
        Some(Self { begin, every_ns, threads, thread, next: Cell::new(0) })
    }

    /// When the next call is meant to be sent.
    pub fn take(&self) -> Instant {
        let number = self.next.get();
        self.next.set(number + 1);
        self.begin + self.offset(number)
    }

    /// Calls that are meant to be sent in the time that is measured.
    pub fn owed(&self, period: &Period) -> u64 {
        self.before(period.end()).saturating_sub(self.before(period.measured_from))
    }

    /// How long after the beginning a call is meant to be sent. Threads take turns.
    fn offset(&self, number: u64) -> Duration {
        let ns = (number * self.threads + self.thread) as f64 * self.every_ns;
        let tick = TICK.as_nanos() as u64;
        Duration::from_nanos((ns as u64).div_ceil(tick) * tick)
    }

    /// Calls meant to be sent before `moment`.
    fn before(&self, moment: Instant) -> u64 {
        let moment = moment.saturating_duration_since(self.begin);
        let (mut low, mut high) = (0, (moment.as_nanos() as f64 / self.every_ns) as u64 + 2);
        while low < high {
            let middle = low.midpoint(high);
            if self.offset(middle) < moment { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Mix, *};

    fn plan(rate: f64, threads: usize) -> Plan {
        Plan {
            rate: Some(rate),
            threads,
            warm_up_seconds: 1.0,
            duration_seconds: 2.0,
            ..Plan::small(Mix::Ack)
        }
    }

    fn offsets(rate: f64, threads: usize, thread: usize, count: usize) -> Vec<Duration> {
        let begin = Instant::now();
        let schedule = Schedule::new(&plan(rate, threads), begin, thread).unwrap();
        (0..count).map(|_| schedule.take() - begin).collect()
    }

    #[test]
    fn calls_are_spread_evenly_and_threads_take_turns() {
        let ms = Duration::from_millis;
        assert_eq!(offsets(100.0, 2, 0, 3), [ms(0), ms(20), ms(40)]);
        assert_eq!(offsets(100.0, 2, 1, 3), [ms(10), ms(30), ms(50)]);
    }

    #[test]
    fn more_calls_than_ticks_share_them() {
        let offsets = offsets(30_000.0, 1, 0, 30_001);
        assert!(offsets.is_sorted());
        assert!(offsets.iter().all(|offset| offset.as_nanos() % TICK.as_nanos() == 0));
        assert_eq!(offsets[30_000], Duration::from_secs(1));
        for (number, offset) in offsets.iter().enumerate() {
            let exact = Duration::from_secs_f64(number as f64 / 30_000.0);
            assert!(*offset < exact + TICK && *offset + Duration::from_nanos(2) > exact);
        }
    }

    #[test]
    fn what_is_owed_is_the_rate_for_the_time_that_is_measured() {
        for (rate, threads) in [(1.0, 1), (7.3, 3), (1_000.0, 2), (123_456.0, 2)] {
            let plan = plan(rate, threads);
            let period = Period::new(&plan, Instant::now());
            let owed = |thread| {
                let schedule = Schedule::new(&plan, period.begin, thread).unwrap();
                let taken = (0..(rate * 4.0) as u64 + 2).map(|_| schedule.take());
                let counted = taken.filter(|at| period.measures(*at) && *at < period.end()).count();
                assert_eq!(schedule.owed(&period), counted as u64, "{rate} {thread}");
                counted as f64
            };
            let all: f64 = (0..threads).map(owed).sum();
            assert!((all - rate * 2.0).abs() <= threads as f64 + rate / 1e4, "{rate}: {all}");
        }
    }

    #[test]
    fn a_closed_loop_has_none() {
        let plan = Plan { rate: None, ..plan(1.0, 1) };
        assert!(Schedule::new(&plan, Instant::now(), 0).is_none());
    }
}
