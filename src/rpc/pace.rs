//! When refusals are answered: where there are very many, later.
//!
//! A refusal costs the server about a third of a small call, and whoever gets one at once may ask
//! again at once. Where four of five calls are refused the refusals alone would take more time than
//! there is, and less and less would be left for what was taken on. So beyond a rate they are told
//! later: what is asked meanwhile stays with the callers, whose connections have a bounded number
//! of calls under way. Where more wait than may, the others are told as they come.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use prometheus::IntGauge;
use rand::Rng as _;
use tokio::{
    select,
    time::{Instant, sleep},
};

use super::{
    deadline::Deadline,
    share::{Share, has_room},
};
use crate::lifecycle::{Lifecycle, Phase};

/// How late a refusal is at most. What comes of its body meanwhile has to be read.
pub const LATE_MAX: Duration = Duration::from_secs(4);
/// The refusals of this time may come all at once: a short burst of calls is refused as it comes.
const BURST: Duration = Duration::from_secs(1);

/// How many refusals may be told, and wait.
#[derive(Clone, Copy, Debug)]
pub struct PaceBounds {
    /// Refusals that are told a second; beyond it they are told later, where they may wait.
    pub per_second: u32,
    /// Those that wait at once.
    pub waiting: usize,
    /// Calls that a connection has at most. Half of those that are no streams may wait: the others
    /// are for what is taken on.
    pub streams_of_connection: usize,
}

/// Deals out the moments at which refusals are told.
pub(super) struct Pace {
    bounds: PaceBounds,
    interval: Duration,
    began: Instant,
    /// The moment that was dealt last, in microseconds.
    dealt_us: AtomicU64,
    waiting: IntGauge,
    life: Lifecycle,
}

impl Pace {
    /// Nobody waits any more once `life` drains.
    pub fn new(bounds: PaceBounds, waiting: IntGauge, life: Lifecycle) -> Self {
        let interval = Duration::from_secs(1) / bounds.per_second.max(1);
        let dealt_us = AtomicU64::new(0);
        Self { bounds, interval, began: Instant::now(), dealt_us, waiting, life }
    }

    /// For how long the refusal of a call of this connection has to wait, at most half of the time
    /// that its caller still has, so that it is heard; none where it is told at once. The counts
    /// are compared and raised in two steps, as those of [`super::Admission`] are.
    pub fn pause(&self, of: &Share, deadline: &Deadline) -> Option<Pause> {
        let waiting = usize::try_from(self.waiting.get()).unwrap_or_default();
        let streams = of.streams().load(Ordering::Relaxed);
        let of_connection = self.bounds.streams_of_connection.saturating_sub(streams) / 2;
        if of.refusals().load(Ordering::Relaxed) >= of_connection
            || !has_room(of.refusals(), waiting, self.bounds.waiting)
        {
            return None;
        }
        // Time is counted from one burst ago.
        let now = self.began.elapsed() + BURST;
        let late = deadline.left().map_or(LATE_MAX, |left| LATE_MAX.min(left / 2));
        let wait = self.deal(now, late).checked_sub(now)?;
        if wait.is_zero() {
            return None;
        }
        self.waiting.inc();
        of.refusals().fetch_add(1, Ordering::Relaxed);
        let life = self.life.clone();
        let over = Box::pin(async move {
            select! {
                () = sleep(wait) => {}
                _ = life.wait_for(Phase::Draining) => {}
            }
        });
        Some(Pause { over, waiting: self.waiting.clone(), share: of.clone() })
    }

    /// The next moment, a pace behind the last one, and not before what a burst may have. Where
    /// that is too late it is any in the last half of the time there is, which takes no moment of
    /// others: told all at once, callers would all come back at once.
    fn deal(&self, now: Duration, late: Duration) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (first, last) = (micros(now.saturating_sub(BURST)), micros(now + late));
        let interval = micros(self.interval);
        let next = |dealt: u64| {
            let next = dealt.max(first).saturating_add(interval);
            (next <= last).then_some(next)
        };
        let dealt = self.dealt_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match dealt.ok().and_then(next) {
            Some(moment) => Duration::from_micros(moment),
            None => now + rand::rng().random_range(late / 2..=late),
        }
    }
}

/// The wait of one refusal, which counts while this lives.
pub(super) struct Pause {
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    waiting: IntGauge,
    share: Share,
}

impl Pause {
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.over.as_mut().poll(context)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.waiting.dec();
        self.share.refusals().fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const BOUNDS: PaceBounds = PaceBounds { per_second: 10, waiting: 12, streams_of_connection: 8 };

    fn pace() -> Pace {
        let waiting = IntGauge::new("waiting", "waiting").expect("a name");
        Pace::new(BOUNDS, waiting, Lifecycle::new())
    }

    fn pause(pace: &Pace, of: &Share) -> Option<Pause> {
        pace.pause(of, &Deadline::new(&http::HeaderMap::new(), None))
    }

    /// How late each of so many refusals would be that come now.
    fn waits(pace: &Pace, count: usize) -> Vec<u64> {
        let now = pace.began.elapsed() + BURST;
        let wait = |_| pace.deal(now, LATE_MAX).saturating_sub(now).as_millis() as u64;
        (0..count).map(wait).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_told_at_once_and_the_rest_at_the_pace() {
        let pace = pace();
        assert_eq!(waits(&pace, 13), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 300]);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(waits(&pace, 2), [150, 250]);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(waits(&pace, 11), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100], "no more than a burst");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_latest_and_that_does_not_pile_up() {
        let pace = pace();
        let waits_of_many = waits(&pace, 1000);
        let (paced, late) = waits_of_many.split_at(50);
        assert_eq!(paced.last(), Some(&4000));
        assert!(late.iter().all(|wait| (2000..=4000).contains(wait)), "{late:?}");
        assert!(late.iter().any(|wait| *wait < 3000), "they are not told all at once");
        tokio::time::advance(LATE_MAX).await;
        assert_eq!(waits(&pace, 2), [100, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_are_bounded_over_all_and_on_a_connection() {
        let pace = pace();
        let shares = [(); 3].map(|()| Share::default());
        waits(&pace, 10);
        let pauses = |of: &Share| -> Vec<Pause> {
            std::iter::from_fn(|| pause(&pace, of)).take(100).collect()
        };
        let [first, second, third] = shares.each_ref().map(pauses);
        assert_eq!([first.len(), second.len(), third.len()], [4, 4, 2], "two are left for others");
        assert_eq!(pace.waiting.get(), 10);
        drop((first, third));
        assert_eq!(pace.waiting.get(), 4);
        assert_eq!(pauses(&shares[0]).len(), 4, "what is given back can be had again");
        drop(second);
        assert_eq!(pace.waiting.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_wait_takes_no_moment_of_those_who_may() {
        let pace = pace();
        waits(&pace, 10);
        let greedy = Share::default();
        let _held: Vec<Pause> = (0..4).filter_map(|_| pause(&pace, &greedy)).collect();
        assert!((0..100).all(|_| pause(&pace, &greedy).is_none()));
        assert_eq!(waits(&pace, 1), [500]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_over_at_its_moment() {
        let pace = pace();
        waits(&pace, 14);
        let mut pauses = [(); 2].map(|()| pause(&pace, &Share::default()).expect("it waits"));
        let began = Instant::now();
        poll_fn(|context| pauses[0].poll(context)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(500));
        pace.life.advance(Phase::Draining);
        poll_fn(|context| pauses[1].poll(context)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(500), "a server that ends waits no more");
    }
}
