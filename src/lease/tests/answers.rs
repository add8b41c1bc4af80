//! Answers of the database that get lost, and callers that go away: nothing is taken for done.

use super::*;

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
