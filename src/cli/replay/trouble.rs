//! What went wrong in a run: counted in full, told in part, and reason to stop at some point.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use indicatif::ProgressBar;
use parking_lot::Mutex;
use tonic::Status;

use crate::cli::{
    failure::{Failure, describe},
    output::complain,
    retry::CallError,
};

/// Errors that are printed; the others are counted.
const ERRORS_PRINTED: u64 = 10;
/// Errors after which the run stops: what fails so often will go on failing.
const ERRORS_MAX: u64 = 100;

/// The troubles of one run, shared by its workers. Each number stands by itself, so relaxed
/// ordering will do.
#[derive(Debug)]
pub struct Trouble {
    bar: ProgressBar,
    retries: AtomicU64,
    errors: AtomicU64,
    stopped: AtomicBool,
    /// The first error that stopped the run; a leaf lock.
    gave_up: Mutex<Option<Failure>>,
}

impl Trouble {
    /// No trouble yet. What is printed goes above `bar`.
    pub fn new(bar: ProgressBar) -> Self {
        Self {
            bar,
            retries: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            gave_up: Mutex::new(None),
        }
    }

    /// A call failed and will be tried again.
    pub fn retried(&self, status: &Status) {
        if self.retries.fetch_add(1, Ordering::Relaxed) == 0 {
            self.tell(&format!("{}; trying again", describe(status)));
        }
    }

    /// A call failed for good.
    pub fn call_failed(&self, what: &impl Display, error: CallError) {
        match error {
            CallError::Refused(status) => self.failed(what, &describe(&status)),
            CallError::GaveUp(status) => {
                self.failed(what, &describe(&status));
                self.gave_up.lock().get_or_insert_with(|| status.into());
                self.stop();
            }
        }
    }

    /// Something failed that is not a call.
    pub fn failed(&self, what: &impl Display, why: &str) {
        let errors = self.errors.fetch_add(1, Ordering::Relaxed) + 1;
        if errors <= ERRORS_PRINTED {
            self.tell(&format!("{what}: {why}"));
        }
        if errors == ERRORS_MAX {
            self.tell(&format!("stopping after {ERRORS_MAX} errors"));
            self.stop();
        }
    }

    /// Whether workers should take up nothing new.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Calls that were tried again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// What failed for good.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Why the run stopped, if because the server was away for too long.
    pub fn take_failure(&self) -> Option<Failure> {
        self.gave_up.lock().take()
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn tell(&self, text: &str) {
        self.bar.suspend(|| complain(&format!("readstates: {text}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stays_away_stops_the_run() {
        let trouble = Trouble::new(ProgressBar::hidden());
        trouble.retried(&Status::unavailable("away"));
        assert!(!trouble.is_stopped());
        trouble.call_failed(&"call", CallError::GaveUp(Status::unavailable("away")));
        assert!(trouble.is_stopped());
        assert_eq!((trouble.retries(), trouble.errors()), (1, 1));
        assert!(matches!(trouble.take_failure(), Some(Failure::Call(_))));
    }

    #[test]
    fn some_refusals_are_counted_and_many_stop_the_run() {
        let trouble = Trouble::new(ProgressBar::hidden());
        for _ in 1..ERRORS_MAX {
            trouble.call_failed(&"call", CallError::Refused(Status::internal("no")));
        }
        assert!(!trouble.is_stopped());
        trouble.failed(&"call", "no");
        assert!(trouble.is_stopped());
        assert!(trouble.take_failure().is_none());
    }
}
