//! Unary load that costs next to nothing: HTTP/2 frames that are made once, patched and counted,
//! so that one core of callers keeps one core of the server busy.
//!
//! A thread per connection, blocking: whatever answers one read brought, as many calls go out in
//! one write. Nothing is decoded but the heads of frames; an answer is believed when its stream had
//! a message before its trailers, as an error never has. Threads inherit the processors that their
//! caller is confined to.

#[path = "wire/calls.rs"]
mod calls;
#[path = "wire/connection.rs"]
mod connection;
#[path = "wire/frame.rs"]
mod frame;

use std::{
    fs, io,
    net::SocketAddr,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use calls::Calls;
use connection::Connection;

/// What is called, over and over.
#[derive(Clone, Debug)]
pub enum Call {
    /// `grpc.health.v1.Health/Check`, whose handler does nearly nothing.
    Health,
    /// `Ack` of a state drawn from these numbers (see `states::request`), each with a higher
    /// message than any before in this process.
    Ack(Range<u64>),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Answered with a message within the time.
    pub calls: u64,
    /// Acks that changed their state. Fewer than the calls where calls of one key overtake one
    /// another, as they do where few keys are drawn from.
    pub changed: u64,
    /// Calls under way at once: what was asked for, or less where the server takes less.
    pub in_flight: usize,
    pub elapsed: Duration,
    /// Processor time of all threads of the client; zero where the system does not say.
    pub client: Duration,
}

impl Outcome {
    fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            changed: self.changed + other.changed,
            in_flight: self.in_flight + other.in_flight,
            elapsed: self.elapsed.max(other.elapsed),
            client: self.client + other.client,
        }
    }
}

/// Calls for so long, with so many calls under way over so many connections. Blocks: in an
/// asynchronous bench call it from a thread of its own.
///
/// # Errors
/// Where the server cannot be reached, ends the connection, breaks the protocol, or answers any
/// call with an error.
pub fn rate(
    address: SocketAddr,
    connections: usize,
    in_flight: usize,
    duration: Duration,
    call: &Call,
) -> io::Result<Outcome> {
    let open = |number: usize| {
        let streams = ((in_flight + number) / connections).max(1);
        let calls = Calls::new(call, address, number as u64);
        Connection::open(address, calls, streams)
    };
    let connections: Vec<_> = (0..connections).map(open).collect::<io::Result<_>>()?;
    let started = Instant::now();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for connection in connections {
            let run = move || measure(connection, started, duration);
            threads.push(thread::Builder::new().name("wire".to_owned()).spawn_scoped(scope, run)?);
        }
        threads.into_iter().try_fold(Outcome::default(), |sum, thread| {
            let outcome = thread.join().map_err(|_| io::Error::other("a client panicked"))??;
            Ok(sum.and(outcome))
        })
    })
}

fn measure(
    mut connection: Connection,
    started: Instant,
    duration: Duration,
) -> io::Result<Outcome> {
    let cpu = processor_time();
    while started.elapsed() < duration {
        connection.turn()?;
    }
    let outcome = Outcome {
        calls: connection.tally.answered,
        changed: connection.tally.changed,
        in_flight: connection.streams(),
        elapsed: started.elapsed(),
        client: processor_time().saturating_sub(cpu),
    };
    connection.finish()?;
    match connection.tally.failed {
        0 => Ok(outcome),
        failed => {
            let answered = connection.tally.answered;
            Err(io::Error::other(format!("{failed} calls failed beside {answered} answered")))
        }
    }
}

/// Of this thread.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}
