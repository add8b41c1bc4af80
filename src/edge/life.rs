//! How long a connection may go on: until it is old, until its server drains, until its peer takes
//! nothing any more, or until the peer's certificate has run out.

use std::{pin::Pin, time::Duration};

use rand::Rng as _;
use tokio::time::{Instant, Sleep, sleep_until};

use super::backlog::{Backlog, Seen};
use crate::config::Config;

/// The backlog is looked at this often within the time after which a peer counts as stalled.
const LOOKS: u32 = 4;

/// A connection whose peer's certificate ends sooner is not asked to end before.
const CERTIFIED_MIN: Duration = Duration::from_secs(10);

/// The bounds of every connection's life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub age: Option<Duration>,
    pub grace: Duration,
    pub stall: Duration,
}

impl Bounds {
    pub fn of(config: &Config) -> Self {
        Self {
            age: config.max_connection_age,
            grace: config.max_connection_age_grace,
            stall: config.stall_timeout,
        }
    }
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is old: its peer is asked to open another, and the calls it has go on.
    AskToEnd,
    /// It had its time to end, or its peer has stalled.
    Cut(Cut),
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Age,
    /// Whoever is at the other end cannot be told any more.
    Certificate,
    Stall,
}

/// The life of one connection.
pub(super) struct Life {
    bounds: Bounds,
    /// One timer for all of it: connections are many, and are woken often.
    timer: Pin<Box<Sleep>>,
    /// When it is old, unless it was asked to end.
    old_at: Option<Instant>,
    /// When it is about to outlive its peer's certificate, unless it was asked to end.
    outlived_at: Option<Instant>,
    cut_at: Option<Instant>,
    certified_until: Option<Instant>,
    look_at: Instant,
    seen: Seen,
    /// Since when what is seen has waited without any of it being taken.
    stalled_since: Instant,
}

impl Life {
    /// Of a connection whose peer's certificate, if it has one, holds for so long.
    pub fn begin(bounds: Bounds, certified: Option<Duration>, backlog: &Backlog) -> Self {
        let now = Instant::now();
        // Those that came together do not go together.
        let age = bounds.age.map(|age| now + age.mul_f64(rand::rng().random_range(0.9..=1.1)));
        let certified_until = certified.and_then(|certified| now.checked_add(certified));
        // Time for its calls to end, and for its peer to come with another certificate. Whoever
        // comes again with the old one is not asked again and again: each time it has half as long.
        let outlived = certified_until.filter(|until| *until - now > CERTIFIED_MIN);
        let notice = bounds.grace.mul_f64(rand::rng().random_range(1.0..=1.5));
        let notice = notice.min(certified.unwrap_or_default() / 2);
        let mut life = Self {
            bounds,
            timer: Box::pin(sleep_until(now)),
            old_at: age,
            outlived_at: outlived.map(|until| until - notice),
            cut_at: None,
            certified_until,
            look_at: now + bounds.stall / LOOKS,
            seen: backlog.seen(),
            stalled_since: now,
        };
        life.wind();
        life
    }

    /// What is next to be done, once it is time. May be dropped at any time.
    pub async fn turn(&mut self, backlog: &Backlog) -> Turn {
        loop {
            self.timer.as_mut().await;
            let turn = self.due(Instant::now(), backlog);
            self.wind();
            if let Some(turn) = turn {
                return turn;
            }
        }
    }

    fn due(&mut self, now: Instant, backlog: &Backlog) -> Option<Turn> {
        if self.certified_until.is_some_and(|until| until <= now) {
            return Some(Turn::Cut(Cut::Certificate));
        }
        if self.cut_at.is_some_and(|at| at <= now) {
            return Some(Turn::Cut(Cut::Age));
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.old_at) || is_due(self.outlived_at) {
            // The other has the end of the certificate to be cut at.
            self.cut_at = is_due(self.old_at).then(|| now + self.bounds.grace);
            (self.old_at, self.outlived_at) = (None, None);
            return Some(Turn::AskToEnd);
        }
        if self.look_at <= now {
            self.look_at = now + self.bounds.stall / LOOKS;
            let seen = backlog.seen();
            if seen.waiting == 0 || seen.taken != self.seen.taken {
                self.stalled_since = now;
            }
            self.seen = seen;
        }
        (now - self.stalled_since >= self.bounds.stall).then_some(Turn::Cut(Cut::Stall))
    }

    fn wind(&mut self) {
        let ends = [self.old_at, self.outlived_at, self.cut_at, self.certified_until];
        let next = ends.into_iter().flatten().chain([self.look_at]).min();
        self.timer.as_mut().reset(next.unwrap_or(self.look_at));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::{Buf as _, Bytes};
    use http_body::Body as _;
    use prometheus::IntGauge;
    use tokio::time::timeout;

    use super::*;
    use crate::edge::backlog::{Waiting, WaitingBody};

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds(age: Option<Duration>) -> Bounds {
        Bounds { age, grace: 5 * SECOND, stall: 8 * SECOND }
    }

    fn backlog() -> Arc<Backlog> {
        Backlog::new(IntGauge::new("waiting", "Waiting.").expect("a name"))
    }

    /// An answer that nobody has taken.
    async fn answer(backlog: &Arc<Backlog>) -> Waiting {
        let body = tonic::body::Body::new(http_body_of(vec![0; 4096].into()));
        let mut body = Box::pin(WaitingBody::new(body, Arc::clone(backlog)));
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        frame.expect("a frame").expect("no error").into_data().ok().expect("data")
    }

    fn http_body_of(bytes: Bytes) -> impl http_body::Body<Data = Bytes, Error = tonic::Status> {
        struct Once(Option<Bytes>);
        impl http_body::Body for Once {
            type Data = Bytes;
            type Error = tonic::Status;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, tonic::Status>>>
            {
                let frame = self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes)));
                std::task::Poll::Ready(frame)
            }
        }
        Once(Some(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_is_asked_to_end_and_cut_after_its_grace() {
        let backlog = backlog();
        for _ in 0..20 {
            let began = Instant::now();
            let mut life = Life::begin(bounds(Some(100 * SECOND)), None, &backlog);
            assert_eq!(life.turn(&backlog).await, Turn::AskToEnd);
            let asked = began.elapsed();
            assert!((90 * SECOND..=110 * SECOND + SECOND).contains(&asked), "{asked:?}");
            assert_eq!(life.turn(&backlog).await, Turn::Cut(Cut::Age));
            assert!(began.elapsed() - asked >= 5 * SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_with_the_certificate_of_its_peer() {
        let backlog = backlog();
        for certified in [10 * SECOND, 11 * SECOND, 60 * SECOND] {
            let began = Instant::now();
            let mut life = Life::begin(bounds(None), Some(certified), &backlog);
            if certified > CERTIFIED_MIN {
                assert_eq!(life.turn(&backlog).await, Turn::AskToEnd);
                let left = certified - began.elapsed();
                let notice = 5 * SECOND - SECOND / 100..=15 * SECOND / 2;
                assert!(notice.contains(&left), "asked {left:?} before");
            }
            assert_eq!(life.turn(&backlog).await, Turn::Cut(Cut::Certificate));
            let lived = began.elapsed();
            assert!((certified..certified + SECOND / 100).contains(&lived), "{lived:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_age_and_certificate_what_comes_first_ends_a_connection_and_asks_once() {
        let backlog = backlog();
        for (certified, cut) in [(60, Cut::Certificate), (1000, Cut::Age)] {
            let bounds = bounds(Some(100 * SECOND));
            let mut life = Life::begin(bounds, Some(certified * SECOND), &backlog);
            let turns = [life.turn(&backlog).await, life.turn(&backlog).await];
            assert_eq!(turns, [Turn::AskToEnd, Turn::Cut(cut)], "{certified} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_and_who_takes_a_little_is_not() {
        let backlog = backlog();
        let mut life = Life::begin(bounds(None), None, &backlog);
        assert!(timeout(100 * SECOND, life.turn(&backlog)).await.is_err(), "nothing waits");
        let mut waiting = answer(&backlog).await;
        for _ in 0..20 {
            assert!(timeout(5 * SECOND, life.turn(&backlog)).await.is_err(), "it takes some");
            waiting.advance(10);
        }
        let began = Instant::now();
        assert_eq!(life.turn(&backlog).await, Turn::Cut(Cut::Stall));
        let stalled = began.elapsed();
        assert!((8 * SECOND..=13 * SECOND).contains(&stalled), "{stalled:?}");
    }
}
