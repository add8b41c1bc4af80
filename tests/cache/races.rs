//! The bugs that every write-behind cache meets: what is asked for while its row is on the way to
//! the store, and what a load brings after things have moved on.
//!
//! Each guard was taken out of the cache once to see its test fail.

use readstates::{
    cache::{Access, Ticket, Void},
    model::{Key, ReadState, Sequence, View},
};

use crate::scene::{Scene, ack, key, mention};

/// Channels that fit, in a scene of 8 entries.
const CHANNELS: u64 = 7;

fn scene() -> Scene {
    Scene::new(8, 8)
}

fn arrive(scene: &Scene, slow: Ticket, row: Option<ReadState>) -> Option<View> {
    let answer = scene.cache.admit(slow, row, &[Access::Read], &scene.now);
    scene.cache.self_check();
    match answer {
        Err(Void) => None,
        Ok(outcomes) => Some(outcomes[0].expect("a read is never refused").view),
    }
}

/// Updates `key` by way of a second load, and lets it leave memory as the store has it.
fn overtake(scene: &mut Scene, key: Key, acked: u64) {
    scene.done(key, &ack(acked));
    scene.displace(CHANNELS);
    scene.flush();
    assert_eq!(scene.resident(key), None);
}

#[test]
fn stale_read_after_eviction_while_the_flush_is_in_flight() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    scene.flush();
    scene.done(key(1, 1), &ack(20));
    scene.displace(CHANNELS);
    assert_eq!(scene.cache.counts(0).victims, 1, "it left the LRU dirty");
    let flight = scene.collect();
    assert!(flight.iter().any(|(flying, _)| *flying == key(1, 1)));
    assert!(scene.cache.begin_load(key(1, 1)).is_none(), "the row that a load finds is stale");
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 20);
    scene.write(&flight);
    scene.settle(flight, true);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 20);
}

#[test]
fn an_update_while_the_flush_is_in_flight_is_not_lost() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    scene.displace(CHANNELS);
    let flight = scene.collect();
    let done = scene.done(key(1, 1), &ack(20));
    assert_eq!((done.previous.last_acked_id, done.unflushed), (10, Some(Sequence::ZERO)));
    scene.write(&flight);
    scene.settle(flight, true);
    let read = scene.done(key(1, 1), &Access::Read);
    assert!(read.unflushed.is_some(), "the store has 10 only");
    scene.displace(CHANNELS);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 20);
    scene.flush();
    assert_eq!(scene.rows.load(key(1, 1)).map(|row| row.last_acked_id()), Some(20));
}

#[test]
fn a_failed_commit_leaves_its_states_in_memory_until_the_next_one() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    scene.displace(CHANNELS);
    let dirty = scene.cache.dirty();
    let flight = scene.collect();
    assert_eq!(scene.collect(), [], "I12: everything is in a commit already");
    scene.settle(flight, false);
    assert_eq!(scene.cache.dirty(), dirty);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 10);
    scene.flush();
    assert_eq!(scene.cache.dirty(), 0);
    assert_eq!(scene.rows.load(key(1, 1)).map(|row| row.last_acked_id()), Some(10));
}

#[test]
fn a_slow_load_does_not_overwrite_a_newer_entry() {
    let scene = scene();
    let slow = scene.begin(key(1, 1));
    scene.done(key(1, 1), &ack(10));
    assert_eq!(arrive(&scene, slow, None), None);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 10);
}

/// The ABA form: when the load arrives the key is absent as it was when the load began.
#[test]
fn a_slow_load_does_not_overwrite_a_newer_entry_that_was_flushed_and_evicted() {
    let mut scene = scene();
    let slow = scene.begin(key(1, 1));
    overtake(&mut scene, key(1, 1), 10);
    assert_eq!(arrive(&scene, slow, None), None);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 10);
}

#[test]
fn a_slow_load_does_not_overwrite_a_newer_entry_of_which_it_brings_an_older_row() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    let (slow, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    overtake(&mut scene, key(1, 1), 20);
    assert_eq!(arrive(&scene, slow, row), None);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 20);
}

#[test]
fn a_slow_load_does_not_resurrect_a_deleted_user() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    let (slow, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    scene.delete_user(1).expect("a place is free");
    scene.flush_deletions();
    assert_eq!(scene.cache.deletions(), []);
    assert_eq!(arrive(&scene, slow, row), None);
    assert_eq!(scene.view(key(1, 1)), View { mentions_exact: true, ..View::default() });
}

/// The load begins after the deletion, but reads the row before the store has deleted it.
#[test]
fn a_load_begun_while_its_user_is_being_deleted_does_not_resurrect_the_user() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    scene.delete_user(1).expect("a place is free");
    let (slow, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    assert!(row.is_some());
    scene.flush_deletions();
    assert_eq!(arrive(&scene, slow, row), None);
    assert!(!scene.view(key(1, 1)).exists());
}

#[test]
fn a_load_that_arrives_while_its_user_is_being_deleted_brings_nothing() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    scene.delete_user(1).expect("a place is free");
    let (slow, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    let view = arrive(&scene, slow, row).expect("nothing happened since it began");
    assert!(!view.exists());
}

/// The ABA form through a deletion: deleted, made anew, flushed and evicted.
#[test]
fn a_slow_load_does_not_overwrite_what_a_deleted_user_made_anew() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    let (slow, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    scene.delete_user(1).expect("a place is free");
    scene.flush_deletions();
    overtake(&mut scene, key(1, 1), 5);
    assert_eq!(arrive(&scene, slow, row), None);
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 5);
}

#[test]
fn of_several_loads_of_a_key_the_first_to_arrive_decides() {
    let scene = scene();
    let loads = [(); 3].map(|()| scene.begin(key(1, 1)));
    let [first, abandoned, last] = loads;
    scene.cache.abandon_load(abandoned);
    assert!(arrive(&scene, first, None).is_some(), "an abandoned load voids no other");
    assert_eq!(arrive(&scene, last, None), None);
    assert_eq!(scene.cache.loads(), 0);
    let anew = scene.begin(key(1, 1));
    assert!(arrive(&scene, anew, None).is_some(), "what was void once is forgotten");
}

#[test]
fn a_load_does_everything_that_waited_for_it_in_order() {
    let mut scene = scene();
    overtake(&mut scene, key(1, 1), 10);
    let (ticket, row) = (scene.begin(key(1, 1)), scene.rows.load(key(1, 1)));
    let waiting = [mention(15), mention(20), ack(15), Access::Read];
    let outcomes = scene.cache.admit(ticket, row, &waiting, &scene.now).expect("it is good");
    let seen: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.expect("nothing refuses these").view)
        .map(|view| (view.last_acked_id, view.mention_count))
        .collect();
    assert_eq!(seen, [(10, 1), (10, 2), (15, 1), (15, 1)]);
}

/// Scenario 27.
#[test]
fn a_state_deleted_while_its_flush_is_under_way_stays_deleted() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    let flight = scene.collect();
    let delete = crate::scene::update(readstates::model::Operation::Delete);
    assert!(scene.done(key(1, 1), &delete).changed);
    scene.write(&flight);
    scene.settle(flight, true);
    assert!(!scene.view(key(1, 1)).exists());
    scene.flush();
    scene.displace(CHANNELS);
    scene.flush();
    assert!(scene.view(key(1, 1)).deleted, "the store has the tombstone");
}

/// I12 by way of a deleted user: the row of the old life is still on its way.
#[test]
fn a_state_made_anew_waits_for_the_commit_of_the_one_that_was_deleted() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    let old = scene.collect();
    scene.delete_user(1).expect("a place is free");
    scene.done(key(1, 1), &ack(5));
    assert_eq!(scene.collect(), [], "I12: the key is in a commit");
    scene.write(&old);
    scene.settle(old, true);
    scene.flush();
    assert_eq!(scene.rows.load(key(1, 1)).map(|row| row.last_acked_id()), Some(5));
    assert_eq!(scene.cache.dirty(), 1, "the deletion itself");
}

/// A commit that ends after the store has deleted the user would bring a row back.
#[test]
fn a_deletion_waits_for_the_commits_of_what_it_deletes() {
    let mut scene = scene();
    scene.done(key(1, 1), &ack(10));
    scene.done(key(2, 1), &ack(10));
    let old = scene.collect();
    let version = scene.delete_user(1).expect("a place is free");
    assert_eq!(scene.cache.deletions(), []);
    scene.write(&old);
    scene.settle(old, true);
    assert_eq!(scene.cache.deletions().len(), 1);
    assert_eq!(scene.cache.deletions()[0].version, version);
    scene.flush_deletions();
    assert_eq!(scene.rows.load(key(1, 1)), None);
    assert_eq!(scene.cache.dirty(), 0);
}
