//! Waking callers at the moments they wait for: one timer for all callers of a thread.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::Instant,
};

use tokio::sync::Notify;

use super::timer::Timer;

/// How one caller is woken.
pub type Bell = Rc<Cell<Option<Waker>>>;

/// The bells of a thread. Moments come in order, because the schedule gives them in order; so the
/// next one to ring is always the first in the queue.
pub struct Bells {
    timer: Timer,
    /// One for each caller at most, but for those that gave a wait up.
    waiting: RefCell<VecDeque<(Instant, Bell)>>,
    filled: Notify,
    silenced: Cell<bool>,
}

impl Bells {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self {
            timer: Timer::new(),
            waiting: RefCell::default(),
            filled: Notify::new(),
            silenced: Cell::new(false),
        }
    }

    /// Waits until `moment`, or until the bells are silenced.
    pub async fn wait(&self, bell: &Bell, moment: Instant) {
        self.waiting.borrow_mut().push_back((moment, bell.clone()));
        self.filled.notify_one();
        poll_fn(|context| {
            if self.silenced.get() || Instant::now() >= moment {
                return Poll::Ready(());
            }
            bell.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Rings each bell at its moment; for ever.
    pub async fn ring(&self) {
        loop {
            match self.ring_due(Instant::now()) {
                Some(next) => self.timer.until(next).await,
                None => self.filled.notified().await,
            }
        }
    }

    /// Nobody waits any longer, now or later.
    pub fn silence(&self) {
        self.silenced.set(true);
        for (_, bell) in self.waiting.take() {
            wake(&bell);
        }
    }

    /// Rings what is due by now, and says when the next one is.
    fn ring_due(&self, now: Instant) -> Option<Instant> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some((moment, bell)) = waiting.front() {
            if *moment > now {
                return Some(*moment);
            }
            wake(bell);
            waiting.pop_front();
        }
        None
    }
}

fn wake(bell: &Bell) {
    if let Some(waker) = bell.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn everyone_is_woken_in_order_and_never_too_early() {
        let (bells, woken) = (Bells::new(), RefCell::new(Vec::new()));
        let begun = Instant::now();
        let wait = |after_us: u64| {
            let (bells, woken, bell) = (&bells, &woken, Bell::default());
            async move {
                let moment = begun + Duration::from_micros(after_us);
                bells.wait(&bell, moment).await;
                assert!(Instant::now() >= moment);
                woken.borrow_mut().push(after_us);
            }
        };
        tokio::select! {
            () = bells.ring() => {}
            // Biased: what became due together is looked at in the order of its moments.
            _ = async {
                tokio::join!(biased; wait(500), wait(500), wait(3_000), wait(5_000))
            } => {}
        }
        assert_eq!(woken.take(), [500, 500, 3_000, 5_000]);
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_costs_the_next_one_nothing() {
        let (bells, bell) = (Bells::new(), Bell::default());
        let moment = Instant::now() + Duration::from_millis(1);
        let _ = bells.wait(&bell, moment).now_or_never();
        let later = moment + Duration::from_millis(3);
        tokio::select! {
            () = bells.ring() => {}
            () = bells.wait(&bell, later) => {}
        }
        assert!(Instant::now() >= later);
    }

    #[tokio::test]
    async fn silence_ends_every_wait() {
        let bells = Bells::new();
        let far = Instant::now() + Duration::from_secs(3_600);
        let bell = Bell::default();
        tokio::join!(bells.wait(&bell, far), async { bells.silence() });
        bells.wait(&bell, far).await;
    }
}
