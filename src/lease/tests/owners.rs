//! Who serves, and who waits: starts, standbys and hand-overs.

use super::*;

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

/// Whenever that comes: a lease which it took in that moment is its caller's, not nobody's.
#[tokio::test(start_paused = true)]
async fn a_standby_that_is_asked_to_end_leaves_no_lease_that_nobody_keeps() {
    let mut outcomes = [0, 0];
    for asked_ms in (900..2100).step_by(10) {
        let cluster = Cluster::new();
        let (one, two) = two(&cluster);
        two.line.delay(TRIP_MS, TRIP_MS);
        let lease = one.start().await;
        let standby = tokio::spawn(async move { two.take_unless(true, pass_ms(asked_ms)).await });
        pass_ms(1000).await;
        lease.release().await;
        match standby.await.expect("no panic") {
            Ok(taken) => {
                outcomes[0] += 1;
                taken.release().await;
            }
            Err(AcquireError::GivenUp) => outcomes[1] += 1,
            Err(error) => panic!("asked after {asked_ms} ms: {error}"),
        }
        let began_ms = cluster.now_ms();
        one.start().await;
        assert_within(cluster.now_ms() - began_ms, 0..1000);
    }
    assert!(outcomes.iter().all(|seen| *seen > 0), "taken and given up: {outcomes:?}");
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
