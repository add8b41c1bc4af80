//! The phases of a server's life on a watch channel, and whether it is suspended in them: health,
//! readiness, shutdown and tests all look at the same one, so none of them guesses with a sleep.

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

/// A phase, and whether the server may do its work in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where the server is in its life.
    pub phase: Phase,
    /// While it starts: another serves, and this one waits to take over.
    pub standing_by: bool,
    /// Calls are refused for now, though it is no part of its life's end: the lease has lapsed,
    /// say. It may come and go.
    pub suspended: bool,
}

impl State {
    /// Whether calls are answered.
    pub fn serves(self) -> bool {
        self.phase == Phase::Ready && !self.suspended
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Phase::Ready if self.suspended => f.write_str("suspended"),
            Phase::Starting if self.standing_by => f.write_str("standing by"),
            phase => phase.fmt(f),
        }
    }
}

/// A handle on the one state of a server; clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    state: watch::Sender<State>,
    /// Follows the phase, for those who look at every call and must not share a lock.
    draining: Arc<AtomicBool>,
}

impl Lifecycle {
    /// A life that is just starting.
    pub fn new() -> Self {
        let state = State { phase: Phase::Starting, standing_by: false, suspended: false };
        Self { state: watch::Sender::new(state), draining: Arc::default() }
    }

    /// The state now.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Moves on to `next` and wakes whoever watches. Never moves back: returns false, and does
    /// nothing, where `next` is already reached or passed.
    pub fn advance(&self, next: Phase) -> bool {
        if next >= Phase::Draining {
            self.draining.store(true, Ordering::Relaxed);
        }
        self.state.send_if_modified(|state| {
            let moves = next > state.phase;
            state.phase = next.max(state.phase);
            moves
        })
    }

    /// Says whether calls are refused for now, and wakes whoever watches where that is new. The
    /// phase stays.
    pub fn suspend(&self, suspended: bool) {
        self.state.send_if_modified(|state| {
            std::mem::replace(&mut state.suspended, suspended) != suspended
        });
    }

    /// Says whether the start waits for another server to end. The phase stays.
    pub fn stand_by(&self, standing_by: bool) {
        self.state.send_if_modified(|state| {
            std::mem::replace(&mut state.standing_by, standing_by) != standing_by
        });
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns once `phase` is reached or passed; the phase it was then.
    pub async fn wait_for(&self, phase: Phase) -> Phase {
        let mut watcher = self.subscribe();
        let reached = watcher.wait_for(|now| now.phase >= phase).await.map(|now| now.phase);
        reached.expect("self holds a sender, so the channel stays open")
    }

    /// Watches every later change, beginning with the state now as already seen.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
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

    #[test]
    fn it_serves_while_it_is_ready_and_not_suspended() {
        let life = Lifecycle::new();
        let shown = |life: &Lifecycle| (life.state().serves(), life.state().to_string());
        life.suspend(true);
        assert_eq!(shown(&life), (false, "starting".to_owned()));
        life.advance(Phase::Ready);
        assert_eq!(shown(&life), (false, "suspended".to_owned()));
        let watcher = life.subscribe();
        life.suspend(true);
        assert!(!watcher.has_changed().expect("open"));
        life.suspend(false);
        assert!(watcher.has_changed().expect("open"));
        assert_eq!(shown(&life), (true, "ready".to_owned()));
        life.suspend(true);
        life.advance(Phase::Draining);
        assert_eq!(shown(&life), (false, "draining".to_owned()));
    }

    #[test]
    fn it_stands_by_while_it_starts() {
        let life = Lifecycle::new();
        life.stand_by(true);
        assert_eq!(life.state().to_string(), "standing by");
        let watcher = life.subscribe();
        life.stand_by(true);
        assert!(!watcher.has_changed().expect("open"));
        life.stand_by(false);
        assert!(watcher.has_changed().expect("open"));
        assert_eq!(life.state().to_string(), "starting");
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
