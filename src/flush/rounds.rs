//! Lets a caller wait until everything that is dirty now is in the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::{Notify, watch};

use super::PassEnd;

/// The pass that would have written the caller's change did not: the store refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store did not take the change")]
pub struct FlushFailed;

/// Numbers the flusher's passes. A change made before pass N begins is in pass N or an earlier one.
#[derive(Clone, Debug)]
pub struct Rounds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The newest pass that has begun.
    begun: AtomicU64,
    /// The newest pass that somebody waits for: it takes everything, due or not.
    wanted: AtomicU64,
    ended: watch::Sender<Ended>,
    nudge: Notify,
    stop: Notify,
    failing: AtomicBool,
    stopping: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    number: u64,
    /// The newest complete pass that wrote everything it was to write.
    succeeded: u64,
}

impl Default for Rounds {
    fn default() -> Self {
        let shared = Shared {
            begun: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            ended: watch::Sender::new(Ended::default()),
            nudge: Notify::new(),
            stop: Notify::new(),
            failing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Rounds {
    /// Waits until everything that was dirty when it was called is in the store.
    ///
    /// # Errors
    /// Where the first pass that began after the call did not write everything, or the flusher has
    /// ended; what it did not write stays dirty.
    pub async fn flushed(&self) -> Result<(), FlushFailed> {
        // The change was made under a shard's lock before this load. A pass that collects after
        // that took its number before it took the lock: either it is seen here, or the next is.
        let number = self.shared.begun.load(Ordering::SeqCst) + 1;
        self.shared.wanted.fetch_max(number, Ordering::SeqCst);
        let mut ended = self.shared.ended.subscribe();
        self.shared.nudge.notify_one();
        let ended = ended.wait_for(|ended| ended.number >= number).await;
        match ended {
            Ok(ended) if ended.succeeded >= number => Ok(()),
            _ => Err(FlushFailed),
        }
    }

    /// Makes the flusher look now, not at its next tick.
    pub fn nudge(&self) {
        self.shared.nudge.notify_one();
    }

    /// Whether the store failed in the last pass: waiting for the next is likely to be in vain.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Tells the flusher's thread to end.
    pub(super) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.nudge.notify_one();
        self.shared.stop.notify_one();
    }

    pub(super) async fn stopped(&self) {
        self.shared.stop.notified().await;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    pub(super) async fn nudged(&self) {
        self.shared.nudge.notified().await;
    }

    /// Begins a pass; whether somebody waits for all of it.
    pub(super) fn begin(&self) -> bool {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        // Not compared with the number of this pass: a wish that comes just after this look, for
        // this very pass, must be met by the next one.
        self.shared.wanted.load(Ordering::SeqCst) > self.shared.ended.borrow().number
    }

    /// Ends a pass; `complete` where it was to take everything.
    pub(super) fn end(&self, complete: bool, end: PassEnd) {
        let number = self.shared.begun.load(Ordering::SeqCst);
        self.shared.failing.store(end == PassEnd::Failed, Ordering::Relaxed);
        self.shared.ended.send_modify(|ended| match end {
            PassEnd::Done if complete => *ended = Ended { number, succeeded: number },
            // Who waits for a pass that ended early waits for the next.
            PassEnd::Done | PassEnd::Cut => {}
            PassEnd::Refused | PassEnd::Failed => ended.number = number,
        });
    }

    /// No pass will follow: who waits, now or later, is told so.
    pub(super) fn close(&self) {
        self.shared.failing.store(true, Ordering::Relaxed);
        self.shared.ended.send_modify(|ended| ended.number = u64::MAX);
    }
}
