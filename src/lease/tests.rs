//! Owners, standbys and what becomes of them, over a database that loses answers.

mod cluster;
mod ice;
mod stored;
mod world;

use std::{ops::Range, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    cluster::{Cluster, Fate, Line},
    ice::Ice,
    world::Tally,
};
use super::*;
use crate::{
    metrics::{LeaseMetrics, Metrics},
    model::Version,
    store::{LeaseRow, StoreError},
};

/// Set to a number, it replays the world of that seed alone.
const SEED_VARIABLE: &str = "READSTATES_TEST_SEED";
const SEEDS: u64 = 120;
const SEEDS_LONG: u64 = 10_000;

const HOUR: Version = Version::from_micros(3_600_000_000);
/// An answer that takes a while.
const TRIP_MS: u64 = 40;

fn metrics() -> LeaseMetrics {
    Metrics::new().expect("names are valid").lease
}

/// A service that may want the lease.
#[derive(Clone)]
struct Service {
    cluster: Cluster,
    line: Line,
    name: &'static str,
    /// How fast its clock goes.
    rate: f64,
    metrics: LeaseMetrics,
}

impl Service {
    fn new(cluster: &Cluster, name: &'static str) -> Self {
        let (cluster, line) = (cluster.clone(), cluster.line());
        Self { cluster, line, name, rate: 1.0, metrics: metrics() }
    }

    fn with_clock(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    async fn take(&self, standby: bool) -> Result<Lease, AcquireError> {
        let (cluster, rate) = (self.cluster.clone(), self.rate);
        let clock = BootClock::manual(move || 77 + (cluster.now_ms() as f64 * rate) as u64);
        let wish = Acquire::new(self.name, standby);
        let table = Arc::new(self.line.clone());
        soon(Lease::acquire(table, clock, self.metrics.clone(), wish)).await
    }

    async fn start(&self) -> Lease {
        self.take(false).await.expect("the lease is free")
    }

    /// A start with the time, in milliseconds, at which it had the lease.
    fn stand_by(&self) -> JoinHandle<(u64, Lease)> {
        let service = self.clone();
        tokio::spawn(async move {
            let lease = service.take(true).await.expect("a standby waits");
            (service.cluster.now_ms(), lease)
        })
    }
}

fn two(cluster: &Cluster) -> (Service, Service) {
    (Service::new(cluster, "one:7000"), Service::new(cluster, "two:7000"))
}

/// Ends a test that would go on for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(600), future).await.expect("it ends")
}

async fn pass_ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// When `lease` no longer passes, looking at it all the time.
async fn lapse_ms(cluster: &Cluster, lease: &Lease) -> u64 {
    let lapsing = async {
        while lease.check().is_ok() {
            pass_ms(1).await;
        }
    };
    soon(lapsing).await;
    cluster.now_ms()
}

fn last_write_ms(cluster: &Cluster) -> u64 {
    cluster.history().last().expect("something was written").0
}

#[track_caller]
fn assert_within(ms: u64, range: Range<u64>) {
    assert!(range.contains(&ms), "{ms} is not in {range:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_owner_begins_the_first_epoch() {
    let cluster = Cluster::new();
    let lease = Service::new(&cluster, "one:7000").start().await;
    assert_eq!(lease.check(), Ok(()));
    assert_eq!((lease.epoch(), lease.owner(), lease.ceiling()), (1, "one:7000", Version::ZERO));
    let row = cluster.row().expect("it is written");
    assert_eq!((row.owner.as_str(), row.epoch), ("one:7000", 1));
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_name_is_refused() {
    let cluster = Cluster::new();
    let taken = Service::new(&cluster, "").take(false).await;
    assert!(matches!(taken.err(), Some(AcquireError::Nameless)));
    assert_eq!(cluster.row(), None);
}

#[tokio::test(start_paused = true)]
async fn a_second_service_is_told_who_serves() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    pass_ms(20_300).await;
    let began_ms = cluster.now_ms();
    let refused = two.take(false).await.err().expect("it is refused");
    assert_within(cluster.now_ms() - began_ms, 500..2000);
    let words = refused.to_string();
    let AcquireError::Held { owner, epoch, fresh_ms } = refused else { panic!("{refused}") };
    assert_eq!((owner.as_str(), epoch), ("one:7000", 1));
    assert_within(fresh_ms, 0..1500);
    for part in ["one:7000", "epoch 1", "--standby"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(two.line.swaps(), 0, "it has touched nothing");
    assert_eq!(lease.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_crashed_service_restarts_by_itself_once_its_beat_has_stood_still() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.delay(TRIP_MS, TRIP_MS);
    let lease = one.start().await;
    lease.raise_ceiling(HOUR).await.expect("it is held");
    // The same name: it is the process that counts.
    let began_ms = cluster.now_ms();
    let again = one.start().await;
    let waited_ms = cluster.now_ms() - began_ms;
    assert_within(waited_ms, 8000..8000 + 3 * 2 * TRIP_MS + 1);
    assert_eq!((again.epoch(), again.ceiling()), (2, HOUR));
    assert_eq!(again.check(), Ok(()));
    assert_eq!(lease.check(), Err(NotOwner::Lapsed));
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_standby_waits_for_as_long_as_the_beat_moves_and_takes_over_when_it_stops() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    two.line.delay(TRIP_MS, TRIP_MS);
    let lease = one.start().await;
    let keeping = tokio::spawn(lease.clone().keep());
    let standby = two.stand_by();
    pass_ms(120_400).await;
    assert!(!standby.is_finished());
    assert_eq!(lease.check(), Ok(()));
    keeping.abort();
    let crashed_ms = cluster.now_ms();
    let (taken_ms, taken) = standby.await.expect("it takes over");
    // It may have seen the last beat up to a second before the crash.
    assert_within(taken_ms - crashed_ms, 7000..8000 + 500 + 3 * 2 * TRIP_MS + 1);
    assert_eq!((taken.epoch(), taken.owner()), (2, "two:7000"));
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_release_hands_over_within_one_poll() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    two.line.delay(TRIP_MS, TRIP_MS);
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    lease.raise_ceiling(HOUR).await.expect("it is held");
    let standby = two.stand_by();
    pass_ms(10_230).await;
    let released_ms = cluster.now_ms();
    lease.release().await;
    assert_eq!(lease.check(), Err(NotOwner::Released));
    let (taken_ms, taken) = standby.await.expect("it takes over");
    assert_within(taken_ms - released_ms, 0..500 + 2 * 2 * TRIP_MS + 1);
    assert_eq!((taken.epoch(), taken.ceiling()), (2, HOUR));
    let released = &cluster.history()[cluster.history().len() - 2].1;
    assert!(released.is_released() && released.epoch == 1 && released.ceiling == HOUR);
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_before_the_send() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    pass_ms(1000).await;
    one.line.delay(700, 700);
    let sent_ms = cluster.now_ms();
    lease.raise_ceiling(HOUR).await.expect("it is held");
    assert_eq!(cluster.now_ms(), sent_ms + 1400);
    assert_eq!(lapse_ms(&cluster, &lease).await, sent_ms + 5000);
    // And so does the first.
    let again = one.start().await;
    let sent_ms = last_write_ms(&cluster) - 700;
    assert_eq!(lapse_ms(&cluster, &again).await, sent_ms + 5000);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lapsed_comes_back_without_a_restart() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    let keeping = tokio::spawn(lease.clone().keep());
    pass_ms(10_500).await;
    one.line.cut();
    let written_ms = last_write_ms(&cluster);
    assert_eq!(lapse_ms(&cluster, &lease).await, written_ms + 5000);
    assert_eq!(lease.check(), Err(NotOwner::Lapsed));
    assert!(!lease.snapshot().held);
    pass_ms(60_000).await;
    assert_eq!(lease.check(), Err(NotOwner::Lapsed));
    one.line.mend();
    pass_ms(4100).await;
    assert_eq!(lease.check(), Ok(()));
    assert_eq!((lease.epoch(), cluster.row().map(|row| row.epoch)), (1, Some(1)));
    assert!(!keeping.is_finished());
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn who_follows_it_is_told_within_half_a_second() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    let told = Arc::new(Mutex::new(Vec::new()));
    let (tells, clock) = (Arc::clone(&told), cluster.clone());
    let tell = move |held| tells.lock().push((held, clock.now_ms()));
    let following = tokio::spawn(lease.clone().follow(tell));
    pass_ms(10_500).await;
    assert!(matches!(told.lock().as_slice(), [(true, _)]));
    one.line.cut();
    let lapsed_ms = lapse_ms(&cluster, &lease).await;
    pass_ms(500).await;
    one.line.mend();
    while lease.check().is_err() {
        pass_ms(1).await;
    }
    let held_ms = cluster.now_ms();
    pass_ms(500).await;
    lease.release().await;
    soon(following).await.expect("no panic");
    let told = told.lock().clone();
    let [_, (false, first), (true, second), (false, _)] = told[..] else { panic!("{told:?}") };
    assert_within(first, lapsed_ms..lapsed_ms + 500);
    assert_within(second, held_ms..held_ms + 500);
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_lease_may_raise_its_ceiling_and_is_held_again_by_that() {
    let cluster = Cluster::new();
    let lease = Service::new(&cluster, "one:7000").start().await;
    pass_ms(7000).await;
    assert_eq!(lease.check(), Err(NotOwner::Lapsed));
    lease.raise_ceiling(HOUR).await.expect("nobody else had it");
    assert_eq!(lease.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_wakes_from_a_freeze_has_no_lease_before_it_asks_anybody() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    let ice = Ice::new();
    let keeping = tokio::spawn(ice.over(lease.clone().keep()));
    let standby = two.stand_by();
    pass_ms(3500).await;
    ice.freeze(Duration::from_secs(20));
    let (taken_ms, taken) = standby.await.expect("it takes over");
    assert_within(taken_ms, 10_000..13_000);
    tokio::spawn(taken.clone().keep());
    assert_eq!(lease.check(), Err(NotOwner::Lapsed), "it sleeps yet");
    pass_ms(14_000).await;
    let deposed = NotOwner::TakenOver { owner: "two:7000".to_owned(), epoch: 2 };
    assert_eq!(soon(lease.lost()).await, deposed);
    keeping.await.expect("it ends by itself");
    assert_eq!(lease.check(), Err(deposed.clone()));
    let words = deposed.to_string();
    assert!(words.contains("two:7000") && words.contains("epoch 2"), "{words}");
    // For good: also once the other one is gone.
    taken.release().await;
    assert!(lease.renew().await.is_err());
    assert!(lease.raise_ceiling(HOUR).await.is_err());
    lease.release().await;
    assert_eq!(lease.check(), Err(deposed));
    assert_eq!(cluster.row().map(|row| (row.epoch, row.ceiling)), Some((2, Version::ZERO)));
    cluster.assert_sound();
}

/// The worst that the clocks may be: the owner's is slow, the watcher's fast. The owner is cut off
/// right after a renewal, which the watcher sees at once.
#[tokio::test(start_paused = true)]
async fn clocks_that_are_a_tenth_off_leave_a_second_between_two_owners() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let (one, two) = (one.with_clock(0.9), two.with_clock(1.1));
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    let standby = two.stand_by();
    pass_ms(6000).await;
    one.line.cut();
    let lapsed_ms = lapse_ms(&cluster, &lease).await;
    let (taken_ms, _) = standby.await.expect("it takes over");
    assert!(taken_ms >= lapsed_ms + 1000, "{lapsed_ms} {taken_ms}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_slept_takes_over_at_once_what_stood_still() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    one.start().await;
    let ice = Ice::new();
    let (service, began_ms) = (two.clone(), cluster.now_ms());
    let taking = tokio::spawn(ice.over(async move { service.take(false).await }));
    pass_ms(1000).await;
    ice.freeze(Duration::from_secs(30));
    let taken = taking.await.expect("it runs").expect("the owner is dead");
    assert_within(cluster.now_ms() - began_ms, 31_000..31_100);
    assert_eq!(taken.epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_slept_does_not_take_over_what_has_moved() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    let ice = Ice::new();
    let service = two.clone();
    let taking = tokio::spawn(ice.over(async move { service.take(false).await }));
    pass_ms(700).await;
    ice.freeze(Duration::from_secs(30));
    let refused = taking.await.expect("it runs").err().expect("the owner is alive");
    assert!(matches!(refused, AcquireError::Held { epoch: 1, .. }));
    assert_eq!((lease.check(), two.line.swaps()), (Ok(()), 0));
}

const FATES: [Fate; 5] = [
    Fate::AnswerLost,
    Fate::Lost,
    Fate::UntilRead,
    Fate::Later { ms: 1200, outlives_reads: false },
    Fate::Later { ms: 1700, outlives_reads: true },
];

/// Each of them, and each after each: a swap may be lost, and so may the one that follows it.
fn misfortunes() -> Vec<Vec<Fate>> {
    let alone = FATES.map(|fate| vec![fate]);
    let pairs = FATES.iter().flat_map(|first| FATES.map(|second| vec![*first, second]));
    alone.into_iter().chain(pairs).collect()
}

#[tokio::test(start_paused = true)]
async fn a_start_of_unknown_outcome_is_settled_by_reading() {
    for fates in misfortunes() {
        let cluster = Cluster::new();
        let one = Service::new(&cluster, "one:7000");
        one.line.expect(fates.clone());
        let lease = one.start().await;
        assert_eq!((lease.check(), lease.epoch()), (Ok(()), 1), "{fates:?}");
        let lapsed_ms = lapse_ms(&cluster, &lease).await;
        // What it believes in is in the row, and was not sent after it was written.
        assert!(lapsed_ms <= last_write_ms(&cluster) + 5000, "{fates:?}");
        cluster.assert_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_of_unknown_outcome_is_settled_by_reading() {
    for fates in misfortunes() {
        let cluster = Cluster::new();
        let one = Service::new(&cluster, "one:7000");
        let lease = one.start().await;
        tokio::spawn(lease.clone().keep());
        pass_ms(3500).await;
        one.line.expect(fates.clone());
        for _ in 0..20_000 {
            // One answer that is lost costs no lapse.
            let held = lease.check().is_ok();
            assert!(held || fates.len() > 1, "{fates:?} at {}", cluster.now_ms());
            pass_ms(1).await;
        }
        assert_eq!((lease.check(), lease.epoch()), (Ok(()), 1), "{fates:?}");
        cluster.assert_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_never_that_of_a_send_which_was_not_confirmed() {
    for fates in misfortunes() {
        let cluster = Cluster::new();
        let one = Service::new(&cluster, "one:7000");
        let lease = one.start().await;
        one.line.expect(fates.clone());
        lease.renew().await.expect("the third try succeeds");
        let renewed_ms = cluster.now_ms();
        // What was to be done later is done by now, if ever.
        let lapsed_ms = lapse_ms(&cluster, &lease).await;
        let written = cluster.history();
        let row = written.iter().rev().find(|(ms, _)| *ms <= renewed_ms).expect("it was renewed");
        assert!(lapsed_ms <= row.0 + 5000, "{fates:?}: {lapsed_ms}, {written:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_that_was_raised_is_in_the_row_whatever_became_of_the_answer() {
    for fates in misfortunes() {
        let cluster = Cluster::new();
        let one = Service::new(&cluster, "one:7000");
        let lease = one.start().await;
        one.line.expect(fates.clone());
        lease.raise_ceiling(HOUR).await.expect("the third try succeeds");
        assert_eq!(lease.ceiling(), HOUR, "{fates:?}");
        assert_eq!(cluster.row().map(|row| row.ceiling), Some(HOUR), "{fates:?}");
        cluster.assert_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_of_unknown_outcome_is_settled_by_reading() {
    for fates in misfortunes() {
        let cluster = Cluster::new();
        let (one, two) = two(&cluster);
        let lease = one.start().await;
        tokio::spawn(lease.clone().keep());
        one.line.expect(fates.clone());
        lease.release().await;
        let row = cluster.row().expect("there is one");
        assert!(row.is_released(), "{fates:?}: {row:?}");
        let began_ms = cluster.now_ms();
        two.start().await;
        assert_within(cluster.now_ms() - began_ms, 0..10);
        cluster.assert_sound();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_for_done_while_nobody_can_tell() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    pass_ms(1000).await;
    one.line.expect([Fate::Lost]);
    one.line.lose_reads(1);
    let raised = lease.raise_ceiling(HOUR).await;
    assert!(matches!(raised, Err(LeaseError::Store(StoreError::Unavailable(_)))));
    assert_eq!((lease.ceiling(), lease.check()), (Version::ZERO, Ok(())));
    assert_eq!(lapse_ms(&cluster, &lease).await, 5000);
    // Nor for undone.
    one.line.expect([Fate::AnswerLost]);
    one.line.lose_reads(1);
    let raised = lease.raise_ceiling(HOUR).await;
    assert!(matches!(raised, Err(LeaseError::Store(_))));
    assert_eq!(
        (lease.ceiling(), cluster.row().map(|row| row.ceiling)),
        (Version::ZERO, Some(HOUR))
    );
    assert_eq!(lease.check(), Err(NotOwner::Lapsed));
    lease.renew().await.expect("it goes on from there");
    assert_eq!((lease.ceiling(), lease.check()), (HOUR, Ok(())));
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_row_of_its_own_gives_no_time_unless_it_was_just_written() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    pass_ms(1000).await;
    one.line.expect([Fate::AnswerLost]);
    one.line.lose_reads(1);
    lease.renew().await.expect_err("nobody can tell");
    let written_ms = last_write_ms(&cluster);
    assert_within(written_ms, 1000..1100);
    pass_ms(4000).await;
    // Who watches has watched that row for four seconds now.
    lease.renew().await.expect("it goes on from there");
    assert!(last_write_ms(&cluster) >= written_ms + 4000);
    assert!(lapse_ms(&cluster, &lease).await <= last_write_ms(&cluster) + 5000);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_row_in_order() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.delay(300, 300);
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    for gone_after_ms in [0, 100, 299, 301, 450, 599] {
        let ceiling = Version::from_micros(lease.ceiling().as_micros() + 1000);
        let raising = lease.raise_ceiling(ceiling);
        timeout(Duration::from_millis(gone_after_ms), raising).await.ok();
        lease.renew().await.expect("it goes on from whatever is there");
        assert_eq!(cluster.row().map(|row| row.ceiling), Some(lease.ceiling()));
    }
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_lower_ceiling_changes_nothing() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    let lease = one.start().await;
    lease.raise_ceiling(HOUR).await.expect("it is held");
    let swaps = one.line.swaps();
    lease.raise_ceiling(Version::from_micros(5)).await.expect("nothing is to be done");
    assert_eq!((lease.ceiling(), one.line.swaps()), (HOUR, swaps));
    lease.renew().await.expect("it is held");
    assert_eq!(cluster.row().map(|row| row.ceiling), Some(HOUR));
}

#[tokio::test(start_paused = true)]
async fn callers_and_renewals_do_not_get_in_each_others_way() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.delay(30, 30);
    let lease = one.start().await;
    let keeping = tokio::spawn(lease.clone().keep());
    let raise = |by: u64| {
        let lease = lease.clone();
        tokio::spawn(async move { lease.raise_ceiling(Version::from_micros(by)).await })
    };
    for raising in (1..=30).map(raise).collect::<Vec<_>>() {
        raising.await.expect("it runs").expect("it is held");
    }
    assert_eq!(lease.ceiling(), Version::from_micros(30));
    keeping.abort();
    pass_ms(100).await;
    let rows = cluster.history().len() as u64;
    assert_eq!(one.line.swaps(), rows, "none was in vain");
}

#[tokio::test(start_paused = true)]
async fn a_release_stops_what_is_served_before_the_row_tells_anybody() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.delay(400, 0);
    let lease = one.start().await;
    tokio::spawn(lease.clone().keep());
    // In the midst of a renewal, which is confirmed after it.
    pass_ms(1100).await;
    let releasing = tokio::spawn({
        let lease = lease.clone();
        async move { lease.release().await }
    });
    while !cluster.row().is_some_and(|row| row.is_released()) {
        pass_ms(1).await;
        assert_eq!(lease.check(), Err(NotOwner::Released), "at {}", cluster.now_ms());
    }
    releasing.await.expect("it ends");
    pass_ms(5000).await;
    assert_eq!(lease.check(), Err(NotOwner::Released));
    assert!(cluster.row().is_some_and(|row| row.is_released()), "nothing renews it");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_get_through_ends_all_the_same() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    one.line.cut();
    lease.release().await;
    assert_within(cluster.now_ms(), 0..12_001);
    assert_eq!(lease.check(), Err(NotOwner::Released));
    assert_eq!(two.start().await.epoch(), 2, "who waits long enough takes it over");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_somebody_removed_ends_the_lease() {
    let cluster = Cluster::new();
    let lease = Service::new(&cluster, "one:7000").start().await;
    tokio::spawn(lease.clone().keep());
    cluster.force(None);
    assert_eq!(soon(lease.lost()).await, NotOwner::Gone);
    assert_eq!(lease.check(), Err(NotOwner::Gone));
    assert_eq!(cluster.row(), None, "it does not write it anew");
}

/// Epochs begin anew then, so that they do not tell owners apart.
#[tokio::test(start_paused = true)]
async fn an_owner_that_found_the_row_removed_is_another() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    lease.renew().await.expect("it is held");
    cluster.force(None);
    assert_eq!(two.start().await.epoch(), 1);
    lease.renew().await.expect_err("it is another's");
    let reason = NotOwner::TakenOver { owner: "two:7000".to_owned(), epoch: 1 };
    assert_eq!(lease.check(), Err(reason));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_let_go_meanwhile_is_one_all_the_same() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let lease = one.start().await;
    two.start().await.release().await;
    assert!(lease.renew().await.is_err());
    assert_eq!(lease.check(), Err(NotOwner::Passed { epoch: 2 }));
}

/// Two machines restored from one image run the same process, with the same incarnation.
#[tokio::test(start_paused = true)]
async fn a_double_of_the_process_is_another_owner() {
    let cluster = Cluster::new();
    let lease = Service::new(&cluster, "one:7000").start().await;
    let row = cluster.row().expect("it is there");
    cluster.force(Some(LeaseRow { beat: row.beat + 7, ..row }));
    assert!(lease.renew().await.is_err());
    assert!(lease.check().is_err_and(|error| error.is_final()));
}

#[tokio::test(start_paused = true)]
async fn a_start_gives_up_on_a_database_that_does_not_answer_and_a_standby_does_not() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    one.line.cut();
    two.line.cut();
    let standby = two.stand_by();
    let refused = one.take(false).await.err().expect("it gives up");
    assert!(matches!(refused, AcquireError::Store(StoreError::Unavailable(_))));
    assert_within(cluster.now_ms(), 10_000..13_100);
    pass_ms(100_000).await;
    two.line.mend();
    standby.await.expect("it has waited");
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_does_not_refuse_a_start() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.cut();
    let (line, service) = (one.line.clone(), one.clone());
    let taking = tokio::spawn(async move { service.take(false).await });
    pass_ms(6000).await;
    line.mend();
    taking.await.expect("it runs").expect("the database answers again");
    // Nor do two that lie far enough apart, while it watches a dead owner.
    let (line, service) = (one.line.clone(), one.clone());
    line.cut();
    let taking = tokio::spawn(async move { service.take(false).await });
    for is_cut in [false, true, false] {
        pass_ms(4000).await;
        if is_cut { line.cut() } else { line.mend() }
    }
    taking.await.expect("it runs").expect("the database answers again");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_understood_refuses_every_start() {
    let cluster = Cluster::new();
    let one = Service::new(&cluster, "one:7000");
    one.line.fail_reads(Some(StoreError::NewerFormat("a lease of slots".to_owned())));
    for standby in [false, true] {
        let refused = one.take(standby).await.err().expect("it is refused");
        assert!(matches!(refused, AcquireError::Store(StoreError::NewerFormat(_))));
    }
    assert_eq!((cluster.now_ms(), cluster.row()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn of_two_standbys_one_takes_over_and_the_other_goes_on_waiting() {
    let cluster = Cluster::new();
    let (one, two) = two(&cluster);
    let three = Service::new(&cluster, "three:7000");
    let lease = one.start().await;
    let (second, third) = (two.stand_by(), three.stand_by());
    pass_ms(4000).await;
    lease.release().await;
    pass_ms(600).await;
    let (winner, other) = if second.is_finished() { (second, third) } else { (third, second) };
    let (_, taken) = winner.await.expect("one has it");
    tokio::spawn(taken.clone().keep());
    pass_ms(60_000).await;
    assert!(!other.is_finished());
    assert_eq!((taken.check(), taken.epoch()), (Ok(()), 2));
    cluster.assert_sound();
}

#[tokio::test(start_paused = true)]
async fn a_scrape_shows_what_is_left() {
    let cluster = Cluster::new();
    let all = Metrics::new().expect("names are valid");
    let one = Service { metrics: all.lease.clone(), ..Service::new(&cluster, "one:7000") };
    let lease = one.start().await;
    let shown = lease.clone();
    assert!(all.observe_lease(move || shown.snapshot()));
    let shows = |line: &str| {
        let text = all.encode().expect("it encodes");
        assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
    };
    pass_ms(1500).await;
    shows("readstates_lease_held 1");
    shows("readstates_lease_epoch 1");
    shows("readstates_lease_deadline_seconds 3.5");
    one.line.expect([Fate::Lost]);
    lease.renew().await.expect("the second try succeeds");
    shows("readstates_lease_renewals_total{result=\"renewed\"} 1");
    shows("readstates_lease_unknown_total 1");
    pass_ms(6000).await;
    shows("readstates_lease_held 0");
    shows("readstates_lease_deadline_seconds 0");
    one.line.cut();
    lease.renew().await.expect_err("it is cut off");
    shows("readstates_lease_renewals_total{result=\"failed\"} 1");
    cluster.force(None);
    one.line.mend();
    lease.renew().await.expect_err("it is gone");
    shows("readstates_lease_renewals_total{result=\"lost\"} 1");
}

/// Says how to get back to a world in which something went wrong.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay: {SEED_VARIABLE}={}", self.0);
        }
    }
}

#[test]
fn in_no_world_do_two_own_the_keyspace() {
    let play = |seed: u64| {
        let _told = Seed(seed);
        world::play(seed)
    };
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        let seed = seed.parse().expect("a seed is a number");
        return println!("seed {seed}: {:#?}", play(seed));
    }
    let long = std::env::var_os("READSTATES_TEST_LONG").is_some();
    let seeds = if long { SEEDS_LONG } else { SEEDS };
    let mut tally = Tally::default();
    (0..seeds).for_each(|seed| tally += play(seed));
    println!("seeds 0..{seeds}: {tally:#?}");
    let Tally { epochs, refusals, given_up, crashes, releases, deposed, .. } = tally;
    let Tally { regained, freezes, cuts, versions, unknown, .. } = tally;
    let met = [
        epochs, refusals, given_up, crashes, releases, deposed, regained, freezes, cuts, versions,
        unknown,
    ];
    assert!(met.iter().all(|met| *met >= seeds / 2), "the worlds avoid what they are for");
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    for seed in 0..5 {
        assert_eq!(world::play(seed), world::play(seed));
    }
}
