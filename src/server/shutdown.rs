//! The end of a server: readiness goes first, then calls, then what is not yet written.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{error, info, warn};

use super::{StartError, start::Parts};
use crate::{
    config::Config,
    journal::{Journal, JournalError},
    lease::{Lease, NotOwner},
    lifecycle::{Lifecycle, Phase},
    traces,
};

/// Pause between two attempts to flush while the store refuses.
const FLUSH_RETRY: Duration = Duration::from_millis(50);
/// How long calls may take to answer once the journal has failed.
const GIVE_UP_GRACE: Duration = Duration::from_secs(1);
/// What closing threads and files may take beyond the flush; the same again the lease, and the
/// threads that serve.
const CLOSE_GRACE: Duration = Duration::from_secs(10);

/// Asks a server to end: once to drain, a second time to stop waiting for calls.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<u32>,
}

impl Shutdown {
    /// A shutdown that its caller asks for, by counting up.
    pub fn new() -> (watch::Sender<u32>, Self) {
        let (sender, asked) = watch::channel(0);
        (sender, Self { asked })
    }

    /// A shutdown by SIGTERM and SIGINT.
    ///
    /// # Errors
    /// Where the system lets nobody listen for signals.
    pub fn by_signal() -> io::Result<Self> {
        let (sender, shutdown) = Self::new();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(count_signals(terminate, interrupt, sender));
        Ok(shutdown)
    }

    /// Returns once it was asked for.
    pub(super) async fn asked(&self) {
        self.times(1).await;
    }

    async fn times(&self, times: u32) {
        let mut asked = self.asked.clone();
        // Where nobody can ask any more, nobody will.
        if asked.wait_for(|asked| *asked >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn count_signals(mut terminate: Signal, mut interrupt: Signal, asked: watch::Sender<u32>) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.send_modify(|asked| *asked = asked.saturating_add(1));
    }
}

/// What the end of a server takes at most, from when it is asked for: calls, what is not yet
/// written, the store, the lease, the last spans and the threads that serve.
pub(super) fn stop_within(config: &Config) -> Duration {
    config.drain_timeout + config.flush_timeout + 3 * CLOSE_GRACE + traces::STOP_LIMIT
}

/// What a server left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Changed states that could not be written; 0 after a clean end.
    pub unflushed: usize,
}

pub(super) struct Stopping<'a> {
    pub config: &'a Config,
    pub lifecycle: &'a Lifecycle,
    pub shutdown: Shutdown,
    pub serving: &'a mut JoinHandle<Result<(), StartError>>,
    pub drain: oneshot::Sender<()>,
}

impl Stopping<'_> {
    pub async fn run(self, parts: Parts) -> Result<Stopped, StartError> {
        let lifecycle = self.lifecycle;
        let flush_timeout = self.config.flush_timeout;
        let journal = parts.journal.as_ref().map(|journaling| journaling.journal.clone());
        let failed = tokio::select! {
            () = self.shutdown.times(1) => None,
            served = &mut *self.serving => Some(served),
            error = failure_of(journal.clone()) => return self.give_up(error.into()).await,
            lost = loss_of(parts.lease.clone()) => return self.give_up(lost.into()).await,
        };
        lifecycle.advance(Phase::Draining);
        if failed.is_none() {
            info!("draining: new calls are refused, those in flight finish");
            self.drain().await;
        }
        let stopped = tokio::select! {
            stopped = flush_all(parts, flush_timeout) => stopped,
            error = failure_of(journal) => {
                lifecycle.advance(Phase::Stopped);
                return Err(error.into());
            }
        };
        lifecycle.advance(Phase::Stopped);
        match failed {
            None | Some(Ok(Ok(()))) => Ok(stopped),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(StartError::Assembly(error.to_string())),
        }
    }

    /// The journal has failed (I10): what waits for it is told, and nothing more is acknowledged.
    /// Nothing is flushed either: only the next start knows what of it is durable. Or the keyspace
    /// is another's: nothing may be flushed.
    async fn give_up(self, error: StartError) -> Result<Stopped, StartError> {
        error!(%error, "the server ends: start it again, it recovers what was acknowledged");
        self.lifecycle.advance(Phase::Draining);
        self.drain.send(()).ok();
        if timeout(GIVE_UP_GRACE, self.serving).await.is_err() {
            warn!("calls in flight did not end in time");
        }
        self.lifecycle.advance(Phase::Stopped);
        Err(error)
    }

    async fn drain(self) {
        let Self { config, shutdown, serving, drain, .. } = self;
        drain.send(()).ok();
        tokio::select! {
            _ = &mut *serving => return,
            () = sleep(config.drain_timeout) => warn!("calls in flight did not end in time"),
            () = shutdown.times(2) => warn!("asked again: not waiting for calls in flight"),
        }
        // A peer may hold its connection open for ever; what its call has begun goes on without it.
        serving.abort();
        serving.await.ok();
    }
}

/// Returns once the journal has failed; never where there is none.
async fn failure_of(journal: Option<Journal>) -> JournalError {
    match journal {
        Some(journal) => journal.failed().await,
        None => std::future::pending().await,
    }
}

/// Returns once the keyspace is another's; never where nobody else can have it.
async fn loss_of(lease: Option<Lease>) -> NotOwner {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}

/// Brings everything dirty to the store, for as long as `flush_timeout` allows, and closes it.
async fn flush_all(parts: Parts, flush_timeout: Duration) -> Stopped {
    let deadline = Instant::now() + flush_timeout;
    let rounds = parts.flusher.rounds();
    // Calls that did not end in time go on. What they change is flushed, until nothing is left to
    // flush; from then on they are refused, or they would acknowledge what the exit loses.
    while !parts.cache.close_if_clean() {
        match timeout_at(deadline, rounds.flushed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => sleep(FLUSH_RETRY).await,
            Err(_) => break,
        }
    }
    let unflushed = parts.cache.dirty();
    match (unflushed, &parts.journal) {
        (0, _) => info!("everything is written"),
        (_, Some(_)) => warn!(
            unflushed,
            "changed states could not be written in time; the journal has them for the next start"
        ),
        (_, None) => {
            error!(unflushed, "changed states could not be written in time and are lost");
            release(parts.lease).await;
            return Stopped { unflushed };
        }
    }
    let is_closed = parts.cache.close_if_clean();
    close(parts, is_closed).await;
    Stopped { unflushed }
}

/// Where the cache `is_closed`, no version will follow the newest one.
async fn close(mut parts: Parts, is_closed: bool) {
    let lease = parts.lease.take();
    let closing = async {
        let newest = is_closed.then(|| parts.cache.newest_version());
        spawn_blocking(move || parts.flusher.stop()).await.ok();
        if let Some(journaling) = parts.journal {
            journaling.close(newest).await;
        }
        parts.store.close().await
    };
    match timeout(CLOSE_GRACE, closing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the store did not close cleanly"),
        Err(_) => warn!("the store did not close in time"),
    }
    release(lease).await;
}

/// Lets another take over at once, now that nothing more is written.
async fn release(lease: Option<Lease>) {
    if let Some(lease) = lease
        && timeout(CLOSE_GRACE, lease.release()).await.is_err()
    {
        warn!("the lease could not be released in time; it runs out by itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first number of seconds after `key` in a file of `deploy/`.
    fn seconds(text: &str, key: &str) -> Duration {
        let (_, rest) = text.split_once(key).expect("it is there");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Duration::from_secs(digits.parse().expect("a number"))
    }

    #[test]
    fn what_is_deployed_leaves_time_for_the_end() {
        let wanted = stop_within(&Config::default());
        let unit = include_str!("../../deploy/readstates.service");
        assert!(seconds(unit, "\nTimeoutStopSec=") > wanted);
        let pod = include_str!("../../deploy/kubernetes.yaml");
        assert!(seconds(pod, "terminationGracePeriodSeconds: ") > wanted);
        let compose = include_str!("../../deploy/docker-compose.yml");
        let (_, server) = compose.split_once("\n  readstates:\n").expect("it is there");
        assert!(seconds(server, "stop_grace_period: ") > wanted);
    }
}
