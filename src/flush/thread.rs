//! The flusher's thread: when to pass, how long to wait after a failure, when to end.

use std::{io, thread::JoinHandle, time::Duration};

use tokio::{runtime, time};
use tracing::{error, warn};

use super::{Flusher, PassEnd, Rounds, Scope, backoff::Backoff};

/// Due states are looked for this often; a nudge comes in between.
const TICK: Duration = Duration::from_millis(100);
const CEILING_EVERY: Duration = Duration::from_secs(1);
const WATCH_EVERY: Duration = Duration::from_secs(1);
const EXPIRY_EVERY: Duration = Duration::from_secs(60);

/// The running flusher. It ends when it is told to, not when it is dropped.
pub struct FlushThread {
    rounds: Rounds,
    thread: JoinHandle<()>,
}

impl FlushThread {
    /// Starts it.
    ///
    /// # Errors
    /// Where the machine gives no thread.
    pub fn spawn(flusher: Flusher) -> io::Result<Self> {
        let rounds = Rounds::default();
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let passes = Closing(rounds.clone());
        let thread = std::thread::Builder::new()
            .name("flusher".to_owned())
            .spawn(move || runtime.block_on(run(&flusher, &passes.0)))?;
        Ok(Self { rounds, thread })
    }

    /// For callers that wait for their changes to be in the store.
    pub fn rounds(&self) -> Rounds {
        self.rounds.clone()
    }

    /// Ends the thread after the pass it is in, and waits for that.
    pub fn stop(self) {
        self.rounds.stop();
        if self.thread.join().is_err() {
            error!("the flusher's thread had panicked");
        }
    }
}

/// Tells whoever waits for a pass that none will come, however the thread ends.
struct Closing(Rounds);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the thread does, until it is told to end.
pub async fn run(flusher: &Flusher, rounds: &Rounds) {
    tokio::select! {
        // In this order each time, so that a simulation does the same again.
        biased;
        () = passes(flusher, rounds) => {}
        () = keep_ceiling(flusher) => {}
        () = keep_expiring(flusher) => {}
        () = keep_watching(flusher) => {}
    }
}

async fn passes(flusher: &Flusher, rounds: &Rounds) {
    let mut pauses = Pauses::default();
    let mut pause = TICK;
    while !rounds.is_stopping() {
        let pressed = flusher.is_pressed();
        if !pressed || pause != TICK {
            let _ = time::timeout(pause, rounds.nudged()).await;
        }
        let complete = rounds.begin() || pressed;
        let scope = if complete { Scope::Everything } else { Scope::Due };
        let mut end = flusher.pass(scope).await;
        rounds.end(complete, end);
        if end == PassEnd::Failed {
            // Keys that are dirty go on through an outage, and so would the journal.
            flusher.shorten_journal().await;
        } else {
            end = end.max(flusher.tend_journal().await);
        }
        pause = pauses.after(end);
        if end == PassEnd::Failed {
            // Nobody can hasten a store that is not well.
            let _ = time::timeout(pause, rounds.stopped()).await;
            pause = TICK;
        }
    }
    // What the store has persisted need not be replayed at the next start.
    flusher.persist().await;
}

/// How long to wait before the next pass. Refusals leave the store well: they slow down only the
/// tries that nobody waits for.
#[derive(Default)]
struct Pauses {
    failed: Backoff,
    refused: Backoff,
}

impl Pauses {
    fn after(&mut self, end: PassEnd) -> Duration {
        if end != PassEnd::Failed {
            self.failed.succeeded();
        }
        match end {
            PassEnd::Done => {
                self.refused.succeeded();
                TICK
            }
            PassEnd::Cut => Duration::ZERO,
            PassEnd::Refused => self.refused.next_delay(),
            PassEnd::Failed => self.failed.next_delay(),
        }
    }
}

async fn keep_ceiling(flusher: &Flusher) {
    let mut ticks = time::interval(CEILING_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = flusher.raise_ceiling().await {
            warn!(%error, "the clock's ceiling could not be raised");
        }
    }
}

async fn keep_watching(flusher: &Flusher) {
    let mut ticks = time::interval(WATCH_EVERY);
    let mut told = false;
    loop {
        ticks.tick().await;
        flusher.watch_write(&mut told).await;
    }
}

async fn keep_expiring(flusher: &Flusher) {
    let mut ticks = time::interval(EXPIRY_EVERY);
    loop {
        ticks.tick().await;
        // As many steps as there is work: tombstones may come faster than one step a turn.
        loop {
            match flusher.expire().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    warn!(%error, "tombstones could not be expired");
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_do_not_lengthen_the_pause_after_a_failure() {
        let mut pauses = Pauses::default();
        let shortest = Backoff::default().next_delay() * 2;
        let longest = (0..20).map(|_| pauses.after(PassEnd::Refused)).max();
        assert!(longest > Some(shortest), "{longest:?}");
        assert!(pauses.after(PassEnd::Failed) <= shortest);
        assert_eq!(pauses.after(PassEnd::Done), TICK);
        assert!(pauses.after(PassEnd::Refused) <= shortest);
    }
}
