//! What every store promises, clause by clause, run against every store there is. A new store
//! joins by being a [`Place`] and by one line of [`contract!`].

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt as _, future::join_all};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use readstates::{
    model::{Key, Kind, ReadState, Sequence, UserId, Version},
    store::{Batch, CommitNumber, Row, Store, StoreError, UserPage},
};

use crate::states::{acked, any_key, any_state, channel, key, tombstone, user, version};

/// Where one store rests: opened again, it has what it had.
pub trait Place {
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether it can be had on this machine; where not, it tells so.
    async fn is_there(&self) -> bool {
        true
    }
}

/// Runs every clause against new places made by an expression.
macro_rules! contract {
    ($store:ident, $place:expr) => {
        contract! { @clauses $store, $place,
            a_new_store_has_nothing
            a_row_comes_back_as_it_was_last_committed
            every_state_comes_back_under_every_key
            load_many_answers_in_the_order_of_its_keys
            load_user_has_all_kinds_in_key_order_and_no_neighbours
            load_user_goes_on_after_a_key
            a_scan_pages_through_everything
            commits_of_any_size_are_written_whole
            a_commit_is_seen_whole_or_not_at_all
            commit_numbers_rise_over_restarts
            the_last_commits_record_is_remembered_until_something_else_is_written
            delete_user_takes_all_up_to_its_version_and_leaves_a_mark
            delete_user_takes_users_of_any_size
            a_mark_only_rises
            expire_takes_old_tombstones_and_nothing_else
            expire_takes_old_marks
            expire_leaves_what_was_replaced
            expire_stops_at_its_limit
            what_is_forgotten_shows_on_every_page_and_only_rises
            the_clock_ceiling_only_rises
            everything_is_there_after_reopening
            a_dropped_commit_ends_one_way_or_the_other
            a_closed_store_refuses_all_but_another_close
            what_was_begun_before_a_close_is_done
            any_sequence_of_operations_agrees_with_a_model
        }
    };
    (@clauses $store:ident, $place:expr, $($clause:ident)*) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $clause() {
                    let place = $place;
                    if $crate::contract::Place::is_there(&place).await {
                        $crate::contract::$clause(place).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use contract;

fn row(key: Key, state: ReadState) -> Row {
    Row { key, state }
}

async fn commit(store: &Arc<dyn Store>, rows: impl IntoIterator<Item = Row>) {
    let batch = Batch { rows: rows.into_iter().collect(), durable: false, upto: None };
    assert_eq!(store.commit(batch).await.expect("a commit").failed, []);
}

async fn load(store: &Arc<dyn Store>, key: Key) -> Option<ReadState> {
    store.load(key).await.expect("a load")
}

async fn load_user(
    store: &Arc<dyn Store>,
    user_id: u64,
    after: Option<Key>,
    limit: usize,
) -> UserPage {
    store.load_user(user(user_id), after, limit).await.expect("a page of a user")
}

async fn scan(store: &Arc<dyn Store>) -> Vec<Row> {
    store.scan(None, usize::MAX).await.expect("a scan")
}

async fn expire(store: &Arc<dyn Store>, before: u64, limit: usize) -> usize {
    store.expire(version(before), limit).await.expect("an expiry")
}

async fn delete_user(store: &Arc<dyn Store>, user_id: u64, micros: u64) {
    store.delete_user(user(user_id), version(micros)).await.expect("a deletion");
}

fn keys(rows: &[Row]) -> Vec<Key> {
    rows.iter().map(|row| row.key).collect()
}

/// Random, and repeatable: the seed is printed, and taken from the environment where given.
fn runner() -> TestRunner {
    let given = std::env::var("READSTATES_TEST_SEED").ok();
    let seed: u64 = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("READSTATES_TEST_SEED={seed}");
    let bytes = [seed.to_le_bytes(); 4].concat();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(ProptestConfig::default(), rng)
}

fn random<T>(runner: &mut TestRunner, strategy: impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).expect("the strategy rejects nothing").current()
}

pub async fn a_new_store_has_nothing(place: impl Place) {
    let store = place.open().await;
    assert_eq!(load(&store, channel(1, 1)).await, None);
    let many = store.load_many(vec![channel(1, 1), channel(2, 2)]).await;
    assert_eq!(many.expect("a load"), [None, None]);
    assert_eq!(store.load_many(vec![]).await.expect("a load"), []);
    assert_eq!(load_user(&store, 1, None, 10).await, UserPage::default());
    assert_eq!(scan(&store).await, []);
    assert_eq!(expire(&store, u64::MAX, 10).await, 0);
    assert_eq!(store.clock_ceiling().await.expect("a ceiling"), Version::ZERO);
    assert!(!store.name().is_empty());
}

pub async fn a_row_comes_back_as_it_was_last_committed(place: impl Place) {
    let store = place.open().await;
    let key = channel(7, 8);
    for state in [acked(1, 100), acked(2, 50), tombstone(3), acked(4, 1)] {
        commit(&store, [row(key, state.clone())]).await;
        assert_eq!(load(&store, key).await, Some(state));
    }
    for near in [channel(7, 7), channel(7, 9), channel(6, 8), channel(8, 8)] {
        assert_eq!(load(&store, near).await, None);
    }
}

pub async fn every_state_comes_back_under_every_key(place: impl Place) {
    let store = place.open().await;
    let runner = &mut runner();
    let states: BTreeMap<Key, ReadState> =
        random(runner, vec((any_key(), any_state()), 200)).into_iter().collect();
    commit(&store, states.iter().map(|(key, state)| row(*key, state.clone()))).await;
    for (key, state) in &states {
        assert_eq!(load(&store, *key).await.as_ref(), Some(state));
    }
    let read = scan(&store).await.into_iter().map(|row| (row.key, row.state));
    assert_eq!(read.collect::<Vec<_>>(), states.into_iter().collect::<Vec<_>>());
}

pub async fn load_many_answers_in_the_order_of_its_keys(place: impl Place) {
    let store = place.open().await;
    commit(&store, (1..=3).map(|id| row(channel(1, id), acked(id, id)))).await;
    let wanted = [3, 9, 1, 1, 2].map(|id| channel(1, id)).to_vec();
    let states = store.load_many(wanted).await.expect("a load");
    let expected = [Some(3), None, Some(1), Some(1), Some(2)];
    assert_eq!(states, expected.map(|id| id.map(|id| acked(id, id))));
}

pub async fn load_user_has_all_kinds_in_key_order_and_no_neighbours(place: impl Place) {
    let store = place.open().await;
    for user_id in [1, 2, 3, u64::MAX - 1, u64::MAX] {
        let rows = Kind::ALL.into_iter().rev().flat_map(|kind| {
            [u64::MAX, 256, 255, 1].map(|id| row(key(user_id, kind, id), acked(user_id, id)))
        });
        commit(&store, rows).await;
    }
    commit(&store, [row(channel(2, 256), tombstone(9))]).await;
    for user_id in [2, u64::MAX] {
        let page = load_user(&store, user_id, None, usize::MAX).await;
        let expected = Kind::ALL
            .into_iter()
            .flat_map(|kind| [1, 255, 256, u64::MAX].map(|id| key(user_id, kind, id)));
        assert_eq!(keys(&page.rows), expected.collect::<Vec<_>>());
        assert_eq!(page.deleted_at, None);
        let third = if user_id == 2 { tombstone(9) } else { acked(user_id, 256) };
        assert_eq!(page.rows[2].state, third);
    }
}

pub async fn load_user_goes_on_after_a_key(place: impl Place) {
    let store = place.open().await;
    let all: Vec<Key> = [10, 20, 30].map(|id| channel(5, id)).to_vec();
    commit(&store, all.iter().map(|key| row(*key, acked(1, 1)))).await;
    commit(&store, [row(channel(4, 1), acked(1, 1)), row(channel(6, 1), acked(1, 1))]).await;
    let everything = usize::MAX;
    for (after, limit, expected) in [
        (None, 0, &all[..0]),
        (None, 2, &all[..2]),
        (None, 3, &all[..]),
        (Some(channel(5, 10)), 1, &all[1..2]),
        (Some(channel(5, 15)), everything, &all[1..]),
        (Some(channel(5, 30)), everything, &all[3..]),
        (Some(key(5, Kind::MessageRequests, u64::MAX)), everything, &all[3..]),
        (Some(channel(4, 1)), everything, &all[..]),
        (Some(channel(6, 1)), everything, &all[3..]),
    ] {
        let page = load_user(&store, 5, after, limit).await;
        assert_eq!(keys(&page.rows), expected, "after {after:?}, limit {limit}");
    }
}

pub async fn a_scan_pages_through_everything(place: impl Place) {
    let store = place.open().await;
    let keys_of = |user_id| [2, 1].map(|id| channel(user_id, id));
    commit(&store, [300, 2, u64::MAX].into_iter().flat_map(keys_of).map(|k| row(k, acked(1, 1))))
        .await;
    commit(&store, [row(channel(300, 3), tombstone(2))]).await;
    delete_user(&store, 77, 5).await;
    let mut seen = Vec::new();
    loop {
        let after = seen.last().map(|row: &Row| row.key);
        let page = store.scan(after, 2).await.expect("a scan");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(page);
    }
    let expected = [(2, 1), (2, 2), (300, 1), (300, 2), (300, 3), (u64::MAX, 1), (u64::MAX, 2)];
    assert_eq!(keys(&seen), expected.map(|(user_id, id)| channel(user_id, id)));
    assert_eq!(seen, scan(&store).await);
}

pub async fn commits_of_any_size_are_written_whole(place: impl Place) {
    let store = place.open().await;
    commit(&store, []).await;
    let rows: Vec<Row> =
        (1..=10_000).map(|id| row(channel(id % 7 + 1, id), acked(id, 1))).collect();
    let batch = Batch { rows: rows.clone(), durable: true, upto: None };
    assert_eq!(store.commit(batch).await.expect("a commit").failed, []);
    let found = store.load_many(keys(&rows)).await.expect("a load");
    assert!(rows.iter().map(|row| Some(&row.state)).eq(found.iter().map(Option::as_ref)));
}

pub async fn a_commit_is_seen_whole_or_not_at_all(place: impl Place) {
    let store = place.open().await;
    for micros in 1..=40 {
        let rows = (1..=50).map(|id| row(channel(1, id), acked(micros, micros))).collect();
        let written = store.commit(Batch { rows, durable: false, upto: None });
        let reads = join_all((0..4).map(|_| load_user(&store, 1, None, 100)));
        let (written, pages) = tokio::join!(written, reads);
        assert_eq!(written.expect("a commit").failed, []);
        for page in pages {
            let versions: Vec<Version> = page.rows.iter().map(|row| row.state.version()).collect();
            assert!(versions.len() == 50 || (micros == 1 && versions.is_empty()));
            assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{versions:?}");
        }
    }
}

pub async fn commit_numbers_rise_over_restarts(place: impl Place) {
    let mut last = CommitNumber::default();
    for micros in 1..=3 {
        let store = place.open().await;
        let before = store.persist().await.expect("a persist");
        assert!(before >= last, "{before:?} {last:?}");
        commit(&store, [row(channel(1, 1), acked(micros, 1))]).await;
        last = store.persist().await.expect("a persist");
        assert!(last > before, "{last:?} {before:?}");
        store.close().await.expect("a close");
    }
}

pub async fn the_last_commits_record_is_remembered_until_something_else_is_written(
    place: impl Place,
) {
    let upto = async |store: &Arc<dyn Store>| store.identity().await.expect("an answer").upto;
    let store = place.open().await;
    assert_eq!(upto(&store).await, None);
    for record in [9, 4] {
        let rows = vec![row(channel(1, record), acked(record, 5))];
        let batch = Batch { rows, durable: true, upto: Some(Sequence::new(record)) };
        store.commit(batch).await.expect("a commit");
        assert_eq!(upto(&store).await, Some(Sequence::new(record)));
    }
    store.close().await.expect("a close");
    let store = place.open().await;
    assert_eq!(upto(&store).await, Some(Sequence::new(4)));
    delete_user(&store, 1, 1).await;
    assert_eq!(upto(&store).await, None);
    commit(&store, [row(channel(1, 1), acked(6, 5))]).await;
    assert_eq!(upto(&store).await, None);
}

pub async fn delete_user_takes_all_up_to_its_version_and_leaves_a_mark(place: impl Place) {
    let store = place.open().await;
    let newer = row(channel(5, 3), acked(11, 1));
    let rows = [
        row(channel(5, 1), acked(9, 1)),
        row(channel(5, 2), acked(10, 1)),
        row(key(5, Kind::MessageRequests, u64::MAX), tombstone(3)),
        newer.clone(),
    ];
    commit(&store, rows).await;
    let others = [channel(4, 1), channel(6, 1)].map(|key| row(key, acked(1, 1)));
    commit(&store, others.clone()).await;
    delete_user(&store, 5, 10).await;
    let page = load_user(&store, 5, None, 10).await;
    assert_eq!(
        page,
        UserPage {
            rows: vec![newer.clone()],
            deleted_at: Some(version(10)),
            expired_before: Version::ZERO,
        }
    );
    let rest = load_user(&store, 5, Some(channel(5, 9)), 10).await;
    assert_eq!(
        rest,
        UserPage { rows: vec![], deleted_at: Some(version(10)), expired_before: Version::ZERO }
    );
    let [first, last] = others;
    assert_eq!(scan(&store).await, [first, newer, last]);
    assert_eq!(load_user(&store, 4, None, 10).await.deleted_at, None);
    assert_eq!(load(&store, channel(5, 1)).await, None);
}

pub async fn delete_user_takes_users_of_any_size(place: impl Place) {
    let store = place.open().await;
    let kept = |id: u64| id.is_multiple_of(500);
    let state = |id| acked(if kept(id) { 9 } else { 1 }, id);
    commit(&store, (1..=3_000).map(|id| row(channel(1, id), state(id)))).await;
    delete_user(&store, 1, 8).await;
    let left = keys(&load_user(&store, 1, None, usize::MAX).await.rows);
    assert_eq!(left, (1..=6).map(|step| channel(1, step * 500)).collect::<Vec<_>>());
}

pub async fn a_mark_only_rises(place: impl Place) {
    let store = place.open().await;
    for (micros, marked_at) in [(10, 10), (5, 10), (10, 10), (20, 20)] {
        delete_user(&store, 1, micros).await;
        assert_eq!(load_user(&store, 1, None, 1).await.deleted_at, Some(version(marked_at)));
    }
}

pub async fn expire_takes_old_tombstones_and_nothing_else(place: impl Place) {
    let store = place.open().await;
    let live = row(channel(1, 1), acked(1, 1));
    let young = [row(channel(1, 3), tombstone(10)), row(channel(3, 1), tombstone(11))];
    commit(&store, [live.clone(), row(channel(1, 2), tombstone(9))]).await;
    commit(&store, [row(channel(2, 1), tombstone(1))]).await;
    commit(&store, young.clone()).await;
    assert_eq!(expire(&store, 10, 100).await, 2);
    let [a, b] = young;
    assert_eq!(scan(&store).await, [live, a, b]);
    assert_eq!(expire(&store, 10, 100).await, 0);
}

pub async fn expire_takes_old_marks(place: impl Place) {
    let store = place.open().await;
    delete_user(&store, 1, 5).await;
    delete_user(&store, 2, 6).await;
    // Replaced, so the earlier mark is not what expires.
    delete_user(&store, 3, 4).await;
    delete_user(&store, 3, 7).await;
    assert_eq!(expire(&store, 6, 100).await, 1);
    for (user_id, marked_at) in [(1, None), (2, Some(6)), (3, Some(7))] {
        let page = load_user(&store, user_id, None, 1).await;
        assert_eq!(page.deleted_at, marked_at.map(version), "user {user_id}");
    }
    assert_eq!(expire(&store, u64::MAX, 100).await, 2);
}

pub async fn expire_leaves_what_was_replaced(place: impl Place) {
    let store = place.open().await;
    let (revived, deleted_again, user_deleted) = (channel(1, 1), channel(1, 2), channel(2, 1));
    commit(&store, [revived, deleted_again, user_deleted].map(|key| row(key, tombstone(1)))).await;
    commit(&store, [row(revived, acked(2, 1)), row(deleted_again, tombstone(5))]).await;
    delete_user(&store, 2, 8).await;
    assert_eq!(expire(&store, 5, 100).await, 0);
    assert_eq!(load(&store, revived).await, Some(acked(2, 1)));
    assert_eq!(load(&store, deleted_again).await, Some(tombstone(5)));
    assert_eq!(expire(&store, 6, 100).await, 1);
    assert_eq!(scan(&store).await, [row(revived, acked(2, 1))]);
}

pub async fn expire_stops_at_its_limit(place: impl Place) {
    let store = place.open().await;
    commit(&store, (1..=2_500).map(|id| row(channel(1, id), tombstone(id)))).await;
    delete_user(&store, 2, 1).await;
    assert_eq!(expire(&store, 5_000, 0).await, 0);
    assert_eq!(expire(&store, 5_000, 3).await, 3);
    let mut removed = 3;
    for _ in 0..5 {
        removed += expire(&store, 5_000, 700).await;
    }
    assert_eq!(removed, 2_501);
    assert_eq!(scan(&store).await, []);
    assert_eq!(load_user(&store, 2, None, 1).await.deleted_at, None);
}

pub async fn what_is_forgotten_shows_on_every_page_and_only_rises(place: impl Place) {
    let store = place.open().await;
    commit(&store, [row(channel(1, 1), acked(1, 60)), row(channel(1, 2), tombstone(2))]).await;
    delete_user(&store, 2, 3).await;
    for (forgotten, expected) in [(50, 50), (20, 50), (70, 70)] {
        store.forget_before(version(forgotten)).await.expect("it forgets");
        for user_id in [1, 2, 3] {
            let page = load_user(&store, user_id, None, 1).await;
            assert_eq!(page.expired_before, version(expected), "user {user_id}");
        }
    }
    // Nothing else is touched, and an expiry of less does not bring anything back.
    assert_eq!(scan(&store).await.len(), 2);
    assert_eq!(expire(&store, 10, 10).await, 2);
    assert_eq!(load_user(&store, 1, None, 1).await.expired_before, version(70));
    store.close().await.expect("a clean end");
    drop(store);
    let store = place.open().await;
    assert_eq!(load_user(&store, 9, None, 1).await.expired_before, version(70));
}

pub async fn the_clock_ceiling_only_rises(place: impl Place) {
    let store = place.open().await;
    for (raise, ceiling) in [(5, 5), (3, 5), (5, 5), (u64::MAX, u64::MAX), (1, u64::MAX)] {
        store.raise_clock_ceiling(version(raise)).await.expect("a raise");
        assert_eq!(store.clock_ceiling().await.expect("a ceiling"), version(ceiling));
    }
    store.close().await.expect("a close");
    let store = place.open().await;
    assert_eq!(store.clock_ceiling().await.expect("a ceiling"), version(u64::MAX));
}

pub async fn everything_is_there_after_reopening(place: impl Place) {
    let store = place.open().await;
    commit(&store, (1..=100).map(|id| row(channel(id % 3 + 1, id), acked(id, id)))).await;
    commit(&store, [row(channel(1, 500), tombstone(500))]).await;
    store.persist().await.expect("a persist");
    commit(&store, [row(channel(1, 501), tombstone(501)), row(channel(1, 3), acked(502, 9))]).await;
    delete_user(&store, 2, 40).await;
    let before = scan(&store).await;
    store.close().await.expect("a close");
    drop(store);

    let store = place.open().await;
    assert_eq!(scan(&store).await, before);
    assert_eq!(load_user(&store, 2, None, 1).await.deleted_at, Some(version(40)));
    assert_eq!(expire(&store, 501, 100).await, 2);
    assert_eq!(load(&store, channel(1, 500)).await, None);
    assert_eq!(load(&store, channel(1, 501)).await, Some(tombstone(501)));
}

pub async fn a_dropped_commit_ends_one_way_or_the_other(place: impl Place) {
    let store = place.open().await;
    for round in 1..=50u64 {
        let rows =
            |micros| [1, 2].map(|id| row(channel(round, id), acked(micros, micros))).to_vec();
        let mut dropped = store.commit(Batch { rows: rows(1), durable: false, upto: None });
        // Begun, and most likely not done.
        drop((&mut dropped).now_or_never());
        drop(dropped);
        // Whatever it does, it does before what is committed later.
        commit(&store, [row(channel(round, 2), acked(2, 2))]).await;
        let page = load_user(&store, round, None, 9).await.rows;
        let [first, second] = [&rows(1)[0], &rows(2)[1]].map(Clone::clone);
        assert!(page == [first, second.clone()] || page == [second], "{page:?}");
    }
}

pub async fn a_closed_store_refuses_all_but_another_close(place: impl Place) {
    let store = place.open().await;
    commit(&store, [row(channel(1, 1), acked(1, 1))]).await;
    store.close().await.expect("a close");
    store.close().await.expect("another");
    let one = user(1);
    for refused in [
        store.load(channel(1, 1)).await.map(drop),
        store.load_many(vec![channel(1, 1)]).await.map(drop),
        store.load_user(one, None, 1).await.map(drop),
        store.commit(Batch::default()).await.map(drop),
        store.persist().await.map(drop),
        store.delete_user(one, version(1)).await,
        store.scan(None, 1).await.map(drop),
        store.expire(version(1), 1).await.map(drop),
        store.forget_before(version(1)).await,
        store.clock_ceiling().await.map(drop),
        store.raise_clock_ceiling(version(1)).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    }
}

pub async fn what_was_begun_before_a_close_is_done(place: impl Place) {
    let store = place.open().await;
    let commit_one = |id| {
        let rows = vec![row(channel(1, id), acked(1, id))];
        store.commit(Batch { rows, durable: false, upto: None })
    };
    let late = commit_one(21);
    let (begun, closed) = tokio::join!(join_all((1..=20).map(commit_one)), store.close());
    closed.expect("a close");
    for answer in begun {
        assert_eq!(answer.expect("begun before the close").failed, []);
    }
    assert!(matches!(late.await, Err(StoreError::Closed)));
    let reopened = place.open().await;
    let expected: Vec<Key> = (1..=20).map(|id| channel(1, id)).collect();
    assert_eq!(keys(&scan(&reopened).await), expected);
}

/// The plainest store there could be.
#[derive(Default)]
struct Naive {
    rows: BTreeMap<Key, ReadState>,
    marks: BTreeMap<UserId, Version>,
    expired_before: Version,
    /// The latest that any expiry was asked for, whether or not it found something.
    asked_before: Version,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(Key, bool)>),
    DeleteUser(u64, u64),
    Expire(u64),
    Page(u64, Option<Key>, usize),
    Persist,
    Reopen,
}

fn few_keys() -> impl Strategy<Value = Key> {
    (1..4u64, select(&[Kind::Channel, Kind::GuildHome][..]), 1..4u64)
        .prop_map(|(user_id, kind, id)| key(user_id, kind, id))
}

/// Versions count steps; those of deletions and expiries lie some steps back.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let back = 0..20u64;
    vec(
        prop_oneof![
            8 => vec((few_keys(), any::<bool>()), 0..5).prop_map(Step::Commit),
            2 => (1..4u64, back.clone())
                .prop_map(|(user_id, back)| Step::DeleteUser(user_id, back)),
            2 => back.prop_map(Step::Expire),
            4 => (1..4u64, prop::option::of(few_keys()), 0..5usize)
                .prop_map(|(user_id, after, limit)| Step::Page(user_id, after, limit)),
            1 => Just(Step::Persist),
            1 => Just(Step::Reopen),
        ],
        150,
    )
}

impl Naive {
    fn delete_user(&mut self, user: UserId, version: Version) {
        self.rows.retain(|key, state| key.user != user || state.version() > version);
        let mark = self.marks.entry(user).or_default();
        *mark = version.max(*mark);
    }

    fn expire(&mut self, before: Version) -> usize {
        self.asked_before = self.asked_before.max(before);
        let held = self.rows.len() + self.marks.len();
        self.rows.retain(|_, state| !state.is_deleted() || state.version() >= before);
        self.marks.retain(|_, version| *version >= before);
        let removed = held - self.rows.len() - self.marks.len();
        if removed > 0 {
            self.expired_before = self.expired_before.max(before);
        }
        removed
    }

    fn page(&self, user: UserId, after: Option<Key>, limit: usize) -> UserPage {
        let wanted = |key: &Key| key.user == user && after.is_none_or(|after| *key > after);
        let rows = self.rows.iter().filter(|(key, _)| wanted(key)).take(limit);
        UserPage {
            rows: rows.map(|(key, state)| row(*key, state.clone())).collect(),
            deleted_at: self.marks.get(&user).copied(),
            expired_before: self.expired_before,
        }
    }

    fn scan(&self) -> Vec<Row> {
        self.rows.iter().map(|(key, state)| row(*key, state.clone())).collect()
    }
}

pub async fn any_sequence_of_operations_agrees_with_a_model(place: impl Place) {
    let steps = random(&mut runner(), steps());
    let mut store = place.open().await;
    let mut naive = Naive::default();
    for (now, step) in (30u64..).zip(steps) {
        match step {
            Step::Commit(rows) => {
                let rows: BTreeMap<Key, ReadState> = rows
                    .into_iter()
                    .map(|(key, live)| (key, if live { acked(now, now) } else { tombstone(now) }))
                    .collect();
                commit(&store, rows.iter().map(|(key, state)| row(*key, state.clone()))).await;
                naive.rows.extend(rows);
            }
            Step::DeleteUser(user_id, back) => {
                // Not from before an expiry: what such a deletion leaves may stay (see `expire`).
                let at = version(now - back).max(naive.asked_before).as_micros();
                delete_user(&store, user_id, at).await;
                naive.delete_user(user(user_id), version(at));
            }
            Step::Expire(back) => {
                let removed = expire(&store, now - back, usize::MAX).await;
                assert_eq!(removed, naive.expire(version(now - back)), "at {now}");
            }
            Step::Page(user_id, after, limit) => {
                let page = load_user(&store, user_id, after, limit).await;
                assert_eq!(page, naive.page(user(user_id), after, limit), "at {now}");
            }
            Step::Persist => drop(store.persist().await.expect("a persist")),
            Step::Reopen => {
                store.close().await.expect("a close");
                drop(store);
                store = place.open().await;
            }
        }
        assert_eq!(scan(&store).await, naive.scan(), "at {now}");
    }
}
