//! How far the journal is durable, and those who wait for it to get further.

use std::{
    future::Future,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{runtime::Handle, sync::Notify};

use crate::{
    model::Sequence,
    sabotage::{self, Fault},
};

use super::{
    JournalError,
    lane::{Lane, Place},
    sync::{AtomicBool, AtomicU64, Mutex, Ordering},
};

/// Lanes for runtimes; those that share one share its heralds too, and stay correct. A scheduler
/// that draws has no runtimes, and would mostly look at empty lanes.
const LANES: usize = if cfg!(feature = "shuttle") { 1 } else { 64 };

/// The newest durable sequence. It rises until the journal ends.
pub(super) struct Durable {
    sequence: AtomicU64,
    /// Set before `ended`, and only once.
    end: Mutex<Option<JournalError>>,
    ended: AtomicBool,
    /// One per runtime, by its id.
    lanes: [Lane; LANES],
    /// For those outside any runtime. It has no herald: the writer itself wakes them.
    outside: Lane,
    failed: Notify,
}

impl Durable {
    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence: AtomicU64::new(sequence.as_u64()),
            end: Mutex::new(None),
            ended: AtomicBool::new(false),
            lanes: std::array::from_fn(|_| Lane::default()),
            outside: Lane::default(),
            failed: Notify::new(),
        }
    }

    pub fn now(&self) -> Sequence {
        Sequence::new(self.sequence.load(Ordering::SeqCst))
    }

    /// Tells everyone that records up to `sequence` are durable. IMPORTANT: only after the sync of
    /// their group succeeded.
    pub fn publish(&self, sequence: Sequence) {
        debug_assert!(sequence >= self.now(), "durability is not taken back");
        self.sequence.store(sequence.as_u64(), Ordering::SeqCst);
        for lane in self.lanes() {
            lane.publish(sequence);
        }
    }

    /// Nothing becomes durable any more, and `why`: a failure (I10), or it was closed. Only the
    /// first counts; whether this was it.
    pub fn end(&self, why: JournalError) -> bool {
        let mut end = self.end.lock();
        if end.is_some() {
            return false;
        }
        *end = Some(why);
        drop(end);
        self.ended.store(true, Ordering::SeqCst);
        self.lanes().for_each(Lane::wake_all);
        self.failed.notify_waiters();
        true
    }

    /// Nothing becomes durable any more.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Why nothing becomes durable any more.
    pub fn ended(&self) -> Option<JournalError> {
        if !self.is_ended() {
            return None;
        }
        self.end.lock().clone()
    }

    /// As [`Self::ended`], unless it was closed in order.
    pub fn failure(&self) -> Option<JournalError> {
        self.ended().filter(|end| !matches!(end, JournalError::Closed))
    }

    /// Waits for a failure; for ever where none comes.
    pub async fn failed(&self) -> JournalError {
        loop {
            let mut told = std::pin::pin!(self.failed.notified());
            // Counts from here on: an end between the look and the wait is not missed.
            told.as_mut().enable();
            if let Some(failure) = self.failure() {
                return failure;
            }
            told.await;
        }
    }

    /// Whether `sequence` is durable, or never will be; `None` while that is open.
    fn outcome(&self, sequence: Sequence) -> Option<Result<(), JournalError>> {
        // In this order: what became durable before the end is durable.
        let end = self.ended();
        if self.now() >= sequence {
            return Some(Ok(()));
        }
        end.map(Err)
    }

    /// Waits until `sequence` is durable.
    pub fn reached(&self, sequence: Sequence) -> Reached<'_> {
        Reached { durable: self, sequence, place: None }
    }

    /// Wakes the waiters of the runtime that it is polled in, once per commit, until the journal
    /// ends.
    pub async fn herald(&self) {
        let lane = self.lane_here();
        let _post = lane.serve();
        while !self.is_ended() {
            lane.rung().await;
            lane.wake_due(self.now());
        }
    }

    /// The lane of the runtime that this is called in.
    fn lane_here(&self) -> &Lane {
        let Ok(runtime) = Handle::try_current() else { return &self.outside };
        &self.lanes[lane_of(runtime.id())]
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().chain([&self.outside])
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.lanes().map(Lane::waiting).sum()
    }
}

/// Where ids are given out one after the other, as they are, runtimes that were made together have
/// a lane each.
fn lane_of(id: impl Hash) -> usize {
    let number = BuildHasherDefault::<AsItIs>::default().hash_one(id);
    number as usize % LANES
}

/// The hash of a number that was given out is the number.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        let mixed = |sum: u64, byte: &u8| sum.rotate_left(8) ^ u64::from(*byte);
        self.0 = bytes.iter().fold(self.0, mixed);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// See [`Durable::reached`].
pub(super) struct Reached<'a> {
    durable: &'a Durable,
    sequence: Sequence,
    place: Option<(&'a Lane, Place)>,
}

impl Future for Reached<'_> {
    type Output = Result<(), JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (durable, sequence) = (self.durable, self.sequence);
        if let Some(outcome) = durable.outcome(sequence) {
            return Poll::Ready(outcome);
        }
        let (lane, place) = *self.place.get_or_insert_with(|| {
            let lane = durable.lane_here();
            (lane, lane.place(sequence))
        });
        lane.insert(place, context.waker().clone());
        // Who published between the look above and the insertion did not see this waiter.
        let Some(outcome) = durable.outcome(sequence) else { return Poll::Pending };
        lane.remove_now(place);
        self.place = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Reached<'_> {
    fn drop(&mut self) {
        if let Some((lane, place)) = self.place {
            lane.remove(place);
            if sabotage::is(Fault::DropOnCancel) && self.durable.now() < self.sequence {
                sabotage::note(self.sequence.as_u64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet, num::NonZeroU64, sync::Arc, task::Wake, thread, time::Duration,
    };

    use tokio::{runtime::Builder, task::JoinSet, time::timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn times(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn poll(self: &Arc<Self>, waiter: &mut Reached<'_>) -> Poll<bool> {
            let waker = Arc::clone(self).into();
            let polled = Pin::new(waiter).poll(&mut Context::from_waker(&waker));
            polled.map(|outcome| outcome.is_ok())
        }
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number)
    }

    #[test]
    fn runtimes_made_together_have_lanes_of_their_own() {
        let ids = (1_000_u64..).take(LANES).filter_map(NonZeroU64::new);
        let lanes: BTreeSet<usize> = ids.map(lane_of).collect();
        assert_eq!(lanes.len(), LANES);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let id = runtime.handle().id();
        assert_eq!(lane_of(id), id.to_string().parse::<usize>().expect("a number") % LANES);
    }

    #[test]
    fn those_who_are_due_are_woken_and_no_others() {
        let durable = Durable::new(Sequence::ZERO);
        let woken = [0; 3].map(|_| Arc::<Woken>::default());
        let mut waiters = [5, 6, 7].map(|number| durable.reached(sequence(number)));
        for (waiter, woken) in waiters.iter_mut().zip(&woken) {
            assert!(woken.poll(waiter).is_pending());
        }
        durable.publish(sequence(6));
        assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 1, 0]);
        assert_eq!(woken[0].poll(&mut waiters[0]), Poll::Ready(true));
        assert_eq!(woken[1].poll(&mut waiters[1]), Poll::Ready(true));
        assert!(woken[2].poll(&mut waiters[2]).is_pending());
        assert_eq!(durable.waiting(), 1);
    }

    #[test]
    fn a_waiter_that_goes_away_leaves_nothing() {
        let durable = Durable::new(Sequence::ZERO);
        let woken = Arc::<Woken>::default();
        for round in 1..=100 {
            let mut early = durable.reached(sequence(1_000 + round));
            assert!(woken.poll(&mut early).is_pending());
            assert!(woken.poll(&mut early).is_pending());
            assert_eq!(durable.waiting(), 1);
            drop(early);
            assert_eq!(durable.waiting(), 0);
            let mut due = durable.reached(sequence(round));
            assert!(woken.poll(&mut due).is_pending());
            durable.publish(sequence(round));
            assert_eq!(durable.waiting(), 0);
            drop(due);
        }
        assert_eq!(Arc::strong_count(&woken), 1, "no waker is left");
    }

    #[test]
    fn the_end_wakes_everybody_and_keeps_what_was_durable() {
        let durable = Durable::new(Sequence::ZERO);
        let woken = Arc::<Woken>::default();
        let mut waiter = durable.reached(sequence(2));
        assert!(woken.poll(&mut waiter).is_pending());
        durable.publish(sequence(1));
        assert!(durable.failure().is_none());
        assert!(durable.end(JournalError::Failed(Arc::new(JournalError::Closed))));
        assert_eq!(woken.times(), 1);
        assert_eq!(woken.poll(&mut waiter), Poll::Ready(false));
        assert_eq!(woken.poll(&mut durable.reached(sequence(1))), Poll::Ready(true));
        assert!(!durable.end(JournalError::Closed), "only the first end counts");
        assert!(matches!(durable.failure(), Some(JournalError::Failed(_))));
    }

    #[test]
    fn an_end_in_order_is_no_failure() {
        let durable = Durable::new(Sequence::ZERO);
        durable.end(JournalError::Closed);
        assert!(durable.failure().is_none());
        let mut failed = std::pin::pin!(durable.failed());
        let polled = failed.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending());
    }

    /// Waits in `waiters` tasks of this runtime for each sequence up to `last`, one by one.
    async fn wait_for_all(durable: &Arc<Durable>, waiters: usize, last: u64) {
        let mut tasks = JoinSet::new();
        for _ in 0..waiters {
            let durable = Arc::clone(durable);
            tasks.spawn(async move {
                for number in 1..=last {
                    let outcome = timeout(LONG, durable.reached(sequence(number))).await;
                    outcome.expect("no wake-up is lost").expect("the journal goes on");
                }
            });
        }
        tasks.join_all().await;
    }

    /// Publishes one sequence after the other, each as soon as somebody is there to be woken or
    /// all others are gone.
    fn publish_all(durable: &Durable, last: u64) {
        for number in 1..=last {
            while durable.waiting() == 0 && !durable.is_ended() {
                thread::yield_now();
            }
            durable.publish(sequence(number));
        }
    }

    #[test]
    fn no_wake_up_is_lost_between_runtimes_and_their_heralds() {
        const LAST: u64 = 2_000;
        let durable = Arc::new(Durable::new(Sequence::ZERO));
        thread::scope(|scope| {
            let runtimes: Vec<_> = (0..3)
                .map(|runtime| {
                    let durable = &durable;
                    scope.spawn(move || {
                        let built = Builder::new_current_thread().enable_time().build();
                        built.expect("a runtime").block_on(async {
                            let herald = Arc::clone(durable);
                            // One runtime does without.
                            if runtime > 0 {
                                tokio::spawn(async move { herald.herald().await });
                            }
                            wait_for_all(durable, 5, LAST).await;
                        });
                    })
                })
                .collect();
            scope.spawn(|| publish_all(&durable, LAST));
            let ended = runtimes.into_iter().map(|runtime| runtime.join()).all(|end| end.is_ok());
            durable.end(JournalError::Closed);
            assert!(ended);
        });
        assert_eq!(durable.waiting(), 0);
    }

    /// Published just when the waiter comes: before its first look, while it inserts, after.
    #[test]
    fn no_wake_up_is_lost_at_the_very_moment_of_waiting() {
        const LAST: u64 = 20_000;
        let durable = Durable::new(Sequence::ZERO);
        let (coming, woken) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=LAST {
                    while coming.load(Ordering::SeqCst) < number {
                        std::hint::spin_loop();
                    }
                    // Each time a little later.
                    (0..number % 64).for_each(|_| std::hint::spin_loop());
                    durable.publish(sequence(number));
                    let mut looks = 0_u64;
                    while woken.load(Ordering::SeqCst) < number {
                        looks += 1;
                        thread::yield_now();
                        if looks == 10_000_000 {
                            durable.end(JournalError::Closed);
                            panic!("the waiter for {number} was not woken");
                        }
                    }
                }
            });
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                for number in 1..=LAST {
                    coming.store(number, Ordering::SeqCst);
                    if durable.reached(sequence(number)).await.is_err() {
                        break;
                    }
                    woken.store(number, Ordering::SeqCst);
                }
            });
        });
    }

    #[test]
    fn a_herald_that_goes_away_leaves_its_waiters_to_the_writer() {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let durable = Arc::new(Durable::new(Sequence::ZERO));
        runtime.block_on(async {
            let herald = Arc::clone(&durable);
            let herald = tokio::spawn(async move { herald.herald().await });
            let wait = |number| {
                let durable = Arc::clone(&durable);
                tokio::spawn(async move { durable.reached(sequence(number)).await })
            };
            let (due, later) = (wait(1), wait(2));
            tokio::task::yield_now().await;
            assert_eq!(durable.waiting(), 2);
            // Rung, and gone before it could do anything.
            durable.publish(sequence(1));
            herald.abort();
            assert!(herald.await.is_err());
            let outcome = timeout(LONG, due).await.expect("it is woken all the same");
            outcome.expect("it does not panic").expect("it is durable");
            assert_eq!(durable.waiting(), 1, "the other is not due and came back");
            durable.publish(sequence(2));
            let outcome = timeout(LONG, later).await.expect("the writer wakes it");
            outcome.expect("it does not panic").expect("it is durable");
        });
    }
}
