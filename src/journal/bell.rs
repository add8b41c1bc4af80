//! Wakes the writer's thread. Ringing costs one look while the writer is up.

use std::time::Duration;

use super::sync::{AtomicBool, Condvar, Mutex, Ordering};

/// Why a rest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There may be something to do.
    Rung,
    /// Nobody rang for as long as it was to last.
    Over,
    /// The thread is to end.
    Stop,
}

#[derive(Default)]
pub(super) struct Bell {
    /// The writer rests, or is about to.
    asleep: AtomicBool,
    wish: Mutex<Wish>,
    rung: Condvar,
}

#[derive(Default)]
struct Wish {
    rung: bool,
    stop: bool,
}

impl Bell {
    /// Call it after what there is to do can be seen, and without holding any lock.
    pub fn ring(&self) {
        // Only the first ringer wakes.
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.wish.lock().rung = true;
            self.rung.notify_one();
        }
    }

    /// Has the writer's thread end after what it is at.
    pub fn stop(&self) {
        self.wish.lock().stop = true;
        self.rung.notify_one();
    }

    /// Waits until somebody rings, `within` is over, or the end; not at all where `is_work` says
    /// that there is something to do.
    pub fn rest(&self, within: Duration, is_work: impl FnOnce() -> bool) -> Rest {
        let mut wish = self.wish.lock();
        // Before looking: whoever made work after the look sees this, and rings.
        self.asleep.store(true, Ordering::SeqCst);
        let mut over = is_work();
        let worked = over;
        while !over && !wish.rung && !wish.stop {
            over = self.rung.wait_for(&mut wish, within).timed_out();
        }
        self.asleep.store(false, Ordering::SeqCst);
        let rung = std::mem::take(&mut wish.rung);
        match wish.stop {
            true => Rest::Stop,
            false if rung || worked => Rest::Rung,
            false => Rest::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_rest_ends_by_the_bell_by_work_and_by_the_clock() {
        let bell = Arc::new(Bell::default());
        assert_eq!(bell.rest(LONG, || true), Rest::Rung);
        assert_eq!(bell.rest(Duration::ZERO, || false), Rest::Over);
        let ringer = Arc::clone(&bell);
        let ring = move || {
            ringer.ring();
            false
        };
        // Rung between the look for work and the wait.
        let rung = thread::scope(|scope| {
            bell.rest(LONG, || {
                scope.spawn(ring);
                false
            })
        });
        assert_eq!(rung, Rest::Rung);
        bell.stop();
        assert_eq!(bell.rest(LONG, || false), Rest::Stop);
    }

    #[test]
    fn a_bell_rung_while_the_writer_is_up_is_not_remembered() {
        let bell = Bell::default();
        bell.ring();
        assert_eq!(bell.rest(Duration::ZERO, || false), Rest::Over);
    }
}
