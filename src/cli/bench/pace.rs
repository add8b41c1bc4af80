//! When a caller sends its next call: at once in a closed loop, on schedule in an open one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use super::{
    bells::{Bell, Bells},
    period::Period,
    schedule::Schedule,
};
use crate::cli::latency::Latency;

/// The pace of one thread.
///
/// Of an open loop, latency is counted from the moment at which the schedule means a call to be
/// sent. If the server stalls until all callers wait, the calls meant for that time are sent late,
/// and their latency has that wait in it: nothing that a user would have felt is left out.
pub struct Pace {
    period: Rc<Period>,
    schedule: Option<Schedule>,
    bells: Bells,
    /// Measured calls that the schedule meant to be sent, and that were.
    sent: Cell<u64>,
    /// How late calls were sent that a caller was waiting for: what the generator itself adds.
    lag: RefCell<Latency>,
}

impl Pace {
    /// The pace of a thread; without a schedule that of a closed loop.
    pub fn new(period: Rc<Period>, schedule: Option<Schedule>) -> Self {
        let (bells, sent, lag) = (Bells::new(), Cell::new(0), RefCell::default());
        Self { period, schedule, bells, sent, lag }
    }

    /// Waits for the next call's turn and says for when it is meant; `None` where the run is over.
    pub async fn next(&self, bell: &Bell) -> Option<Instant> {
        let Some(schedule) = &self.schedule else {
            return Some(Instant::now()).filter(|now| *now < self.period.end());
        };
        let meant_for = schedule.take();
        if meant_for >= self.period.end() {
            return None;
        }
        if Instant::now() < meant_for {
            self.bells.wait(bell, meant_for).await;
            self.note_lag(meant_for);
        } else if Instant::now() >= self.period.end() {
            return None;
        }
        // The end may have been put forward meanwhile.
        (meant_for < self.period.end()).then(|| self.note_sent(meant_for))
    }

    /// Wakes callers at their moments; for ever.
    pub async fn keep(&self) {
        self.bells.ring().await;
    }

    /// Ends the run at `at`, if that is sooner.
    pub fn stop(&self, at: Instant) {
        self.period.cut(at);
        self.bells.silence();
    }

    /// Measured calls that were meant to be sent and were not, for want of a caller.
    pub fn unsent(&self) -> u64 {
        let owed = self.schedule.as_ref().map_or(0, |schedule| schedule.owed(&self.period));
        owed.saturating_sub(self.sent.get())
    }

    /// Takes what was noted of how late calls were sent.
    pub fn take_lag(&self) -> Latency {
        self.lag.take()
    }

    fn note_sent(&self, meant_for: Instant) -> Instant {
        if self.period.measures(meant_for) {
            self.sent.set(self.sent.get() + 1);
        }
        meant_for
    }

    fn note_lag(&self, meant_for: Instant) {
        if self.period.measures(meant_for) {
            self.lag.borrow_mut().record(meant_for.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::plan::{Mix, Plan},
        *,
    };

    /// At 100 a second for a fifth of one, begun `ago`.
    fn pace(ago: Duration, rate: Option<f64>) -> Pace {
        let plan = Plan { rate, duration_seconds: 0.2, ..Plan::small(Mix::Ack) };
        let begin = Instant::now() - ago;
        let period = Rc::new(Period::new(&plan, begin));
        Pace::new(period.clone(), Schedule::new(&plan, begin, 0))
    }

    #[tokio::test]
    async fn what_is_late_is_sent_at_once_and_keeps_its_moment() {
        let pace = pace(Duration::from_millis(100), Some(100.0));
        let bell = Bell::default();
        for call in 0..10 {
            let meant_for = pace.next(&bell).await.unwrap();
            assert_eq!(meant_for, pace.period.begin + Duration::from_millis(10) * call);
        }
        assert_eq!(pace.unsent(), 10);
    }

    #[tokio::test]
    async fn what_is_early_waits_and_all_are_sent() {
        let pace = pace(Duration::ZERO, Some(100.0));
        let (bell, mut sent) = (Bell::default(), 0);
        let send = async {
            while let Some(meant_for) = pace.next(&bell).await {
                assert!(Instant::now() >= meant_for);
                sent += 1;
            }
        };
        tokio::select! { () = pace.keep() => {}, () = send => {} }
        assert_eq!((sent, pace.unsent()), (20, 0));
        assert!(pace.take_lag().count() > 0);
    }

    #[tokio::test]
    async fn what_is_still_owed_at_the_end_is_told() {
        let pace = pace(Duration::from_secs(1), Some(100.0));
        assert_eq!(pace.next(&Bell::default()).await, None);
        assert_eq!(pace.unsent(), 20);
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_owes_only_what_was_due_by_then() {
        let pace = pace(Duration::ZERO, Some(100.0));
        let bell = Bell::default();
        assert_eq!(pace.next(&bell).await, Some(pace.period.begin));
        let stop = async { pace.stop(pace.period.begin + Duration::from_nanos(1)) };
        let (next, ()) = tokio::join!(pace.next(&bell), stop);
        assert_eq!((next, pace.unsent()), (None, 0));
    }

    #[tokio::test]
    async fn a_closed_loop_sends_until_the_end() {
        let bell = Bell::default();
        let running = pace(Duration::ZERO, None);
        let before = Instant::now();
        assert!(running.next(&bell).await.unwrap() >= before);
        assert_eq!(pace(Duration::from_secs(1), None).next(&bell).await, None);
        assert_eq!(running.unsent(), 0);
    }
}
