//! For how long a lease holds: deadlines, lapses, clocks that are off and sleepers.

use super::*;

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
