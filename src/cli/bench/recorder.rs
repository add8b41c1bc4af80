//! Where the callers of one thread note what became of their calls.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use tonic::Status;

use super::{
    period::Period,
    slice::{Slice, UNANSWERED, error_kind},
};

/// A call on its way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    meant_for: Instant,
    at: Instant,
}

/// The notes of one thread.
#[derive(Debug)]
pub struct Recorder {
    period: Rc<Period>,
    open: RefCell<Slice>,
    /// Measured operations that have been sent and not been answered.
    under_way: Cell<u64>,
    refused: RefCell<Option<Status>>,
}

impl Recorder {
    /// Nothing is noted yet.
    pub fn new(period: Rc<Period>) -> Self {
        let (open, under_way, refused) = Default::default();
        Self { period, open, under_way, refused }
    }

    /// A call of so many operations goes out now that was meant to go at `meant_for`.
    pub fn sent(&self, meant_for: Instant, operations: u64) -> Sent {
        if self.period.measures(meant_for) {
            self.under_way.set(self.under_way.get() + operations);
        }
        Sent { meant_for, at: Instant::now() }
    }

    /// A call was answered: `done` of its operations were done, and of the others it says what
    /// went wrong with each.
    pub fn answered(&self, sent: Sent, done: u64, failed: &[String]) {
        let Sent { meant_for, at } = sent;
        if !self.period.measures(meant_for) {
            return;
        }
        let now = Instant::now();
        self.arrived(done + failed.len() as u64);
        let mut open = self.open.borrow_mut();
        open.latency.record(now.saturating_duration_since(meant_for));
        open.service.record(now.saturating_duration_since(at));
        open.calls += 1;
        open.operations += done;
        if now >= self.period.end() {
            open.late_calls += 1;
            open.late_operations += done;
        }
        failed.iter().for_each(|kind| open.errors.count(kind, 1));
    }

    /// A call of so many operations failed.
    pub fn failed(&self, sent: Sent, operations: u64, status: &Status) {
        if self.period.measures(sent.meant_for) {
            self.arrived(operations);
            self.open.borrow_mut().errors.count(&error_kind(status), operations);
        }
    }

    /// The server does not serve what is called at all: there is no use in going on.
    pub fn refuse(&self, status: &Status) {
        self.refused.borrow_mut().get_or_insert_with(|| status.clone());
    }

    /// How the server said so.
    pub fn refused(&self) -> Option<Status> {
        self.refused.borrow().clone()
    }

    /// Closes the window that is open and opens the next one.
    pub fn turn(&self) -> Slice {
        let mut open = self.open.borrow_mut();
        let next = Slice { window: open.window + 1, ..Slice::default() };
        std::mem::replace(&mut open, next)
    }

    /// What is still under way is not waited for any longer.
    pub fn give_up(&self) {
        let operations = self.under_way.take();
        if operations > 0 {
            self.open.borrow_mut().errors.count(UNANSWERED, operations);
        }
    }

    fn arrived(&self, operations: u64) {
        self.under_way.set(self.under_way.get().saturating_sub(operations));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::plan::{Mix, Plan},
        *,
    };

    fn recorder(begun: Duration) -> Recorder {
        let plan = Plan { warm_up_seconds: 1.0, duration_seconds: 2.0, ..Plan::small(Mix::Ack) };
        Recorder::new(Rc::new(Period::new(&plan, Instant::now() - begun)))
    }

    #[test]
    fn latency_is_counted_from_when_a_call_was_meant_to_go() {
        let recorder = recorder(Duration::from_millis(2_500));
        let meant_for = recorder.period.measured_from + Duration::from_millis(500);
        let sent = recorder.sent(meant_for, 1);
        recorder.answered(sent, 1, &[]);
        let slice = recorder.turn();
        assert_eq!((slice.window, slice.calls, slice.operations), (0, 1, 1));
        assert!(slice.latency.quantile_us(1.0) >= 999_000);
        assert!(slice.service.quantile_us(1.0) < slice.latency.quantile_us(1.0));
        assert_eq!(slice.late_calls, 0);
        assert_eq!((recorder.turn().window, recorder.turn().calls), (1, 0));
    }

    #[test]
    fn what_belongs_to_the_warm_up_is_not_noted() {
        let recorder = recorder(Duration::from_millis(2_500));
        let meant_for = recorder.period.begin;
        let sent = recorder.sent(meant_for, 1);
        recorder.answered(sent, 1, &[]);
        recorder.failed(sent, 1, &Status::internal(""));
        recorder.give_up();
        let slice = recorder.turn();
        assert_eq!((slice.calls, slice.errors.sum()), (0, 0));
    }

    #[test]
    fn answers_after_the_end_are_measured_and_told_apart() {
        let recorder = recorder(Duration::from_secs(4));
        let meant_for = recorder.period.measured_from;
        let sent = recorder.sent(meant_for, 3);
        recorder.answered(sent, 2, &["ABORTED".to_owned()]);
        let slice = recorder.turn();
        assert_eq!((slice.calls, slice.late_calls, slice.late_operations), (1, 1, 2));
        assert_eq!((slice.latency.count(), slice.errors.sum()), (1, 1));
    }

    #[test]
    fn what_is_never_answered_is_an_error() {
        let recorder = recorder(Duration::from_secs(4));
        let meant_for = recorder.period.measured_from;
        let [first, second, _] = [(); 3].map(|()| recorder.sent(meant_for, 10));
        recorder.answered(first, 10, &[]);
        recorder.failed(second, 10, &Status::unavailable(""));
        recorder.give_up();
        let errors = recorder.turn().errors.into_kinds();
        assert_eq!(
            errors.into_iter().collect::<Vec<_>>(),
            [("UNAVAILABLE".to_owned(), 10), (UNANSWERED.to_owned(), 10)]
        );
    }
}
