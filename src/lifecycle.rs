//! The phases of a server's life on a watch channel: health, readiness, shutdown and tests all look
//! at the same one, so none of them guesses with a sleep.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::watch;

/// Where a server is in its life; it only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Opening the store, not yet listening.
    Starting,
    /// Serving.
    Ready,
    /// Refusing new calls, finishing those in flight, then flushing.
    Draining,
    /// Nothing runs any more.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        })
    }
}

/// A handle on the one phase of a server; clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    phase: watch::Sender<Phase>,
    /// Follows the phase, for those who look at every call and must not share a lock.
    draining: Arc<AtomicBool>,
}

impl Lifecycle {
    /// A life that is just starting.
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting), draining: Arc::default() }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves on to `next` and wakes whoever watches. Never moves back: returns false, and does
    /// nothing, where `next` is already reached or passed.
    pub fn advance(&self, next: Phase) -> bool {
        if next >= Phase::Draining {
            self.draining.store(true, Ordering::Relaxed);
        }
        self.phase.send_if_modified(|phase| {
            let moves = next > *phase;
            *phase = next.max(*phase);
            moves
        })
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns once `phase` is reached or passed; the phase it was then.
    pub async fn wait_for(&self, phase: Phase) -> Phase {
        let mut watcher = self.subscribe();
        let reached = watcher.wait_for(|now| *now >= phase).await.map(|now| *now);
        reached.expect("self holds a sender, so the channel stays open")
    }

    /// Watches every later change, beginning with the phase now as already seen.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_moves_back_or_twice() {
        let life = Lifecycle::new();
        assert_eq!(life.phase(), Phase::Starting);
        assert!(life.advance(Phase::Draining));
        assert!(!life.advance(Phase::Ready));
        assert!(!life.advance(Phase::Draining));
        assert_eq!(life.phase(), Phase::Draining);
    }

    #[test]
    fn only_a_move_wakes_watchers() {
        let life = Lifecycle::new();
        let watcher = life.subscribe();
        life.advance(Phase::Starting);
        assert!(!watcher.has_changed().expect("open"));
        life.clone().advance(Phase::Ready);
        assert!(watcher.has_changed().expect("open"));
    }

    #[tokio::test]
    async fn a_waiter_wakes_when_its_phase_is_reached_or_passed() {
        let life = Lifecycle::new();
        let (ready, stopped) = tokio::join!(life.wait_for(Phase::Ready), async {
            life.advance(Phase::Draining);
            life.advance(Phase::Stopped);
            life.wait_for(Phase::Stopped).await
        });
        assert!(ready >= Phase::Ready);
        assert_eq!(stopped, Phase::Stopped);
    }
}
