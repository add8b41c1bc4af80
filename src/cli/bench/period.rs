//! When a run begins, from when on it is measured, and when it ends: the same for all threads, but
//! for a run that is ended early.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::plan::Plan;

/// What the threads are told. Until there is a beginning they wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// When the warm-up begins.
    pub begin: Option<Instant>,
    /// The user has seen enough.
    pub stop: Option<Instant>,
}

/// The times of a run.
#[derive(Clone, Debug)]
pub struct Period {
    /// When the warm-up begins.
    pub begin: Instant,
    /// What is meant to be sent from here on is measured.
    pub measured_from: Instant,
    window: Duration,
    end: Cell<Instant>,
}

impl Period {
    /// The times of `plan` where it begins at `begin`.
    pub fn new(plan: &Plan, begin: Instant) -> Self {
        let measured_from = begin + plan.warm_up();
        let end = Cell::new(measured_from + plan.duration());
        Self { begin, measured_from, window: plan.window(), end }
    }

    /// From here on nothing is sent.
    pub fn end(&self) -> Instant {
        self.end.get()
    }

    /// Ends it at `at`, if that is sooner.
    pub fn cut(&self, at: Instant) {
        self.end.set(self.end.get().min(at));
    }

    /// Whether a call that was meant to be sent at `intended` counts.
    pub fn measures(&self, intended: Instant) -> bool {
        intended >= self.measured_from
    }

    /// How long is measured.
    pub fn measured(&self) -> Duration {
        self.end().saturating_duration_since(self.measured_from)
    }

    /// How many windows there are; the last one may be cut.
    pub fn windows(&self) -> usize {
        self.measured().as_nanos().div_ceil(self.window.as_nanos()) as usize
    }

    /// When window number `index` begins, which is when the one before it ends.
    pub fn window_begin(&self, index: usize) -> Instant {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        (self.measured_from + self.window * index).min(self.end().max(self.measured_from))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Mix, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn period(duration_seconds: f64) -> Period {
        let plan = Plan { warm_up_seconds: 2.0, duration_seconds, ..Plan::small(Mix::Ack) };
        Period::new(&plan, Instant::now())
    }

    #[test]
    fn what_is_meant_for_the_warm_up_does_not_count() {
        let period = period(3.0);
        assert!(!period.measures(period.begin + SECOND));
        assert!(period.measures(period.begin + SECOND * 2));
        assert_eq!(period.end(), period.begin + SECOND * 5);
    }

    #[test]
    fn the_last_window_may_be_cut() {
        let period = period(2.5);
        assert_eq!(period.windows(), 3);
        assert_eq!(period.window_begin(2), period.measured_from + SECOND * 2);
        assert_eq!(period.window_begin(3), period.end());
        period.cut(period.measured_from + SECOND);
        assert_eq!((period.windows(), period.measured()), (1, SECOND));
        period.cut(period.begin + SECOND * 9);
        assert_eq!(period.measured(), SECOND, "an end is not put off");
        period.cut(period.begin);
        assert_eq!((period.windows(), period.measured()), (0, Duration::ZERO));
        assert_eq!(period.window_begin(0), period.measured_from);
    }
}
