//! What a process that is frozen does: nothing, while the world goes on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// Freezes what runs under it. Clones are the same.
#[derive(Clone)]
pub struct Ice(Arc<Mutex<Instant>>);

impl Ice {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// From now on, for so long.
    pub fn freeze(&self, duration: Duration) {
        *self.0.lock() = Instant::now() + duration;
    }

    pub fn thaw(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Runs `future`, except while it is frozen.
    pub fn over<F: Future>(&self, future: F) -> Frozen<F> {
        Frozen { ice: self.clone(), inner: Box::pin(future), thaw: None }
    }
}

pub struct Frozen<F> {
    ice: Ice,
    inner: Pin<Box<F>>,
    thaw: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Frozen<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let until = *self.ice.0.lock();
        if Instant::now() < until {
            let thaw = self.thaw.insert(Box::pin(sleep_until(until)));
            if thaw.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.thaw = None;
        self.inner.as_mut().poll(cx)
    }
}
