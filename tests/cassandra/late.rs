//! Writes that come late: whatever was written with a later version stays, in every cell.

use readstates::{
    model::{Parts, ReadState},
    store::{Batch, Row, Store},
};

use crate::{
    keyspace::Keyspace,
    states::{acked, channel, state, tombstone, user, version},
};

async fn commit(store: &impl Store, state: ReadState) {
    let rows = vec![Row { key: channel(1, 1), state }];
    let batch = Batch { rows, durable: true, upto: None };
    assert_eq!(store.commit(batch).await.expect("a commit").failed, []);
}

fn full(micros: u64) -> ReadState {
    state(Parts {
        version: version(micros),
        last_acked_id: micros,
        flags: 7,
        last_viewed_day: 9,
        counted: vec![micros + 1, micros + 2],
        zeroed: vec![micros + 3],
        unpositioned: 4,
        ..Parts::default()
    })
}

#[tokio::test]
async fn an_older_version_changes_no_cell_and_an_equal_one_does_no_harm() {
    let keyspace = Keyspace::default();
    let Some(store) = keyspace.store().await else { return };
    let (old, new) = (full(1_000), acked(2_000, 5));
    commit(store.as_ref(), new.clone()).await;
    for late in [old, new.clone()] {
        commit(store.as_ref(), late).await;
        assert_eq!(store.load(channel(1, 1)).await.expect("a load"), Some(new.clone()));
    }
    commit(store.as_ref(), tombstone(3_000)).await;
    commit(store.as_ref(), full(2_999)).await;
    assert_eq!(store.load(channel(1, 1)).await.expect("a load"), Some(tombstone(3_000)));
}

#[tokio::test]
async fn what_is_late_for_the_deletion_of_its_user_stays_deleted() {
    let keyspace = Keyspace::default();
    let Some(store) = keyspace.store().await else { return };
    store.delete_user(user(1), version(500)).await.expect("a deletion");
    commit(store.as_ref(), full(500)).await;
    assert_eq!(store.load(channel(1, 1)).await.expect("a load"), None);
    // And a deletion that is late takes nothing newer, nor does it replace a newer mark.
    commit(store.as_ref(), full(600)).await;
    store.delete_user(user(1), version(400)).await.expect("a deletion");
    let page = store.load_user(user(1), None, 9).await.expect("a page");
    assert_eq!((page.rows.len(), page.deleted_at), (1, Some(version(500))));
}
