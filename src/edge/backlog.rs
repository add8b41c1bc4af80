//! What waits for a peer to take it: a peer that asks for much and reads nothing is told by it.
//!
//! Answers wait within HTTP/2 where the peer's windows are closed, and in the system where its
//! socket is full. Both are seen alike by who gives their bytes out.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use prometheus::IntGauge;

/// Smaller frames do not count as waiting: as many calls as a connection may have at once come to
/// little. That they are taken counts: a connection that others share is not one that has stalled.
const COUNTED_MIN: usize = 1024;

/// How often a connection without calls holds its backlog.
const HELD_BY_CONNECTION: usize = 2;

/// Of one connection.
pub(super) struct Backlog {
    /// Bytes that wait now.
    waiting: AtomicU64,
    /// How often some were taken.
    taken: AtomicU64,
    /// Bytes that wait on all connections.
    all: IntGauge,
}

/// What was seen of a backlog at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub waiting: u64,
    pub taken: u64,
}

impl Backlog {
    pub fn new(all: IntGauge) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicU64::new(0), taken: AtomicU64::new(0), all })
    }

    /// What waits, and what was taken until now. The two are read one after the other, which is
    /// as good as at once: they are compared with what is seen much later.
    pub fn seen(&self) -> Seen {
        Seen {
            waiting: self.waiting.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
        }
    }

    /// Whether nothing of any call is left: neither a call nor what was answered holds it. Its
    /// connection does, and the connection's service.
    pub fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) <= HELD_BY_CONNECTION
    }

    fn put(&self, bytes: usize) {
        self.waiting.fetch_add(bytes as u64, Ordering::Relaxed);
        self.all.add(bytes as i64);
    }

    fn give(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.all.sub(bytes as i64);
    }

    fn note_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Bytes that wait until they are taken or given up.
pub struct Waiting {
    bytes: Bytes,
    is_counted: bool,
    backlog: Arc<Backlog>,
}

impl Waiting {
    fn new(bytes: Bytes, backlog: &Arc<Backlog>) -> Self {
        let is_counted = bytes.len() >= COUNTED_MIN;
        if is_counted {
            backlog.put(bytes.len());
        }
        Self { bytes, is_counted, backlog: Arc::clone(backlog) }
    }
}

impl Buf for Waiting {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.backlog.note_taken();
        if self.is_counted {
            self.backlog.give(count);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_counted {
            self.backlog.give(self.bytes.len());
        }
    }
}

pin_project! {
    /// An answer whose bytes wait in a backlog.
    pub struct WaitingBody<B> {
        #[pin]
        body: B,
        backlog: Arc<Backlog>,
    }
}

impl<B> WaitingBody<B> {
    pub(super) fn new(body: B, backlog: Arc<Backlog>) -> Self {
        Self { body, backlog }
    }
}

impl<B: Body<Data = Bytes>> Body for WaitingBody<B> {
    type Data = Waiting;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Waiting>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        let counted = |frame: Frame<Bytes>| frame.map_data(|data| Waiting::new(data, this.backlog));
        Poll::Ready(frame.map(|frame| frame.map(counted)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog() -> Arc<Backlog> {
        Backlog::new(IntGauge::new("waiting", "Waiting.").expect("a name"))
    }

    #[test]
    fn bytes_wait_until_they_are_taken_or_given_up() {
        let backlog = backlog();
        let mut waiting = Waiting::new(vec![1; 4000].into(), &backlog);
        let given_up = Waiting::new(vec![2; 2000].into(), &backlog);
        assert_eq!(backlog.seen(), Seen { waiting: 6000, taken: 0 });
        waiting.advance(1500);
        assert_eq!((waiting.remaining(), waiting.chunk().len()), (2500, 2500));
        assert_eq!(backlog.seen(), Seen { waiting: 4500, taken: 1 });
        drop(given_up);
        assert_eq!(backlog.seen(), Seen { waiting: 2500, taken: 1 });
        waiting.advance(2500);
        drop(waiting);
        assert_eq!(backlog.seen(), Seen { waiting: 0, taken: 2 });
        assert_eq!(backlog.all.get(), 0);
    }

    #[test]
    fn small_answers_do_not_wait_but_that_they_are_taken_counts() {
        let backlog = backlog();
        let mut small = Waiting::new(vec![1; COUNTED_MIN - 1].into(), &backlog);
        assert_eq!(backlog.seen(), Seen { waiting: 0, taken: 0 });
        small.advance(10);
        drop(small);
        assert_eq!(backlog.seen(), Seen { waiting: 0, taken: 1 });
        assert_eq!(backlog.all.get(), 0);
    }

    #[test]
    fn what_waits_to_be_taken_is_something_of_a_call() {
        let backlog = backlog();
        let (of_service, waiting) = (Arc::clone(&backlog), Waiting::new(Bytes::new(), &backlog));
        assert!(!backlog.is_idle());
        drop(waiting);
        assert!(backlog.is_idle());
        drop(of_service);
    }
}
