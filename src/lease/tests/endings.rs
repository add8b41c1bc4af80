//! How a lease ends: let go, or taken from under its owner.

use super::*;

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
