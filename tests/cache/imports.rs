//! States from elsewhere: the newer version wins, whatever comes between look and admission.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use readstates::{
    cache::{Access, Arrival, Cache, ImportOutcome, Imported, KEYS_PER_HOLD_MAX, Refusal, Void},
    clock::Now,
    model::{Key, MessageId, Operation, ReadState, Version},
};

use crate::scene::{NOON_US, Scene, ack, key, message, sizing, user};

const REPLACES: Arrival = Arrival::Replaces;

/// A state acked up to `id`, of version noon and so many microseconds.
fn state(id: u64, after_noon_us: u64) -> ReadState {
    let mut state = ReadState::default();
    let ack = |message: MessageId| Operation::Ack { message, flags: None, last_viewed_day: None };
    drop(state.apply(&ack(message(id))));
    state.set_version(Version::from_micros(NOON_US + after_noon_us));
    state
}

fn import(scene: &Scene, key: Key, state: &ReadState) -> ImportOutcome {
    let outcome = scene.cache.import(&key, (state, REPLACES), None, &scene.now);
    let outcome = outcome.unwrap_or_else(|| {
        let ticket = scene.begin(key);
        let admitted =
            scene.cache.admit_import(ticket, scene.rows.load(key), state, REPLACES, &scene.now);
        admitted.expect("nothing voids this load")
    });
    scene.cache.self_check();
    outcome
}

fn taken(outcome: ImportOutcome) -> bool {
    outcome.expect("it is not refused").taken
}

#[test]
fn a_newer_state_is_taken_and_an_older_or_equal_one_is_not() {
    let mut scene = Scene::new(8, 8);
    let place = key(1, 1);
    assert!(taken(import(&scene, place, &state(50, 100))));
    assert_eq!(scene.resident(place), Some(state(50, 100).view()));
    assert!(!taken(import(&scene, place, &state(60, 100))));
    assert!(!taken(import(&scene, place, &state(70, 99))));
    assert!(taken(import(&scene, place, &state(40, 101))));
    // The same against the row of a store, on the way of a load.
    scene.flush();
    scene.displace(7);
    assert_eq!(scene.resident(place), None);
    assert!(!taken(import(&scene, place, &state(60, 101))));
    assert_eq!(scene.resident(place), None, "nothing of the import stays");
    assert!(taken(import(&scene, place, &state(30, 102))));
    assert_eq!(scene.view(place).last_acked_id, 30);
    let next = scene.done(place, &ack(31));
    assert!(next.view.version > Version::from_micros(NOON_US + 102), "versions go on behind it");
    scene.flush();
    assert_eq!(scene.rows.load(place).map(|row| row.last_acked_id()), Some(31));
}

#[test]
fn what_touched_the_key_voids_the_load_of_an_import() {
    let mut scene = Scene::new(8, 8);
    let place = key(1, 1);
    let slow = scene.begin(place);
    scene.done(place, &ack(10));
    scene.flush();
    scene.displace(7);
    assert_eq!(scene.resident(place), None, "it was updated, flushed and evicted");
    // What the slow load read, nothing, is older than the row by now.
    let admitted = scene.cache.admit_import(slow, None, &state(5, 0), REPLACES, &scene.now);
    assert_eq!(admitted, Err(Void));
    let slow = scene.begin(place);
    scene.delete_user(1).expect("it is deleted");
    scene.flush_deletions();
    let admitted = scene.cache.admit_import(slow, None, &state(5, 0), REPLACES, &scene.now);
    assert_eq!(admitted, Err(Void), "the mark that the store has now was not seen");
    assert_eq!(scene.cache.loads(), 0);
}

#[test]
fn an_import_voids_the_loads_of_others() {
    let mut scene = Scene::new(8, 8);
    let place = key(1, 1);
    let slow = scene.begin(place);
    assert!(taken(import(&scene, place, &state(50, 1))));
    scene.flush();
    scene.displace(7);
    assert_eq!(scene.resident(place), None, "it was imported, flushed and evicted");
    let admitted = scene.cache.admit(slow, None, &[Access::Read], &scene.now);
    assert_eq!(admitted, Err(Void));
    assert_eq!(scene.view(place).last_acked_id, 50);
}

#[test]
fn what_a_deletion_hides_is_not_taken_and_what_is_newer_is() {
    let scene = Scene::new(8, 8);
    scene.done(key(1, 1), &ack(10));
    let deleted_at = scene.delete_user(1).expect("it is deleted");
    let mut hidden = state(50, 0);
    hidden.set_version(deleted_at);
    for channel in [1, 2] {
        let outcome = import(&scene, key(1, channel), &hidden);
        let older = outcome.expect("it is not refused");
        // Whoever is told so has to wait for the record of the deletion.
        assert!(!older.taken && older.unflushed.is_some());
    }
    let mut newer = state(50, 0);
    newer.set_version(deleted_at.next());
    assert!(taken(import(&scene, key(1, 1), &newer)));
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 50);
}

#[test]
fn an_import_takes_a_dirty_place_or_is_refused_with_nothing_done() {
    let mut scene = Scene::new(8, 2);
    for channel in [1, 2] {
        assert!(taken(import(&scene, key(1, channel), &state(10, channel))));
    }
    assert_eq!(import(&scene, key(1, 3), &state(10, 3)), Err(Refusal::DirtyLimit));
    assert_eq!(scene.resident(key(1, 3)), None);
    assert!(taken(import(&scene, key(1, 1), &state(20, 9))), "this one has its place");
    assert_eq!(scene.cache.dirty(), 2);
    scene.flush();
    assert!(taken(import(&scene, key(1, 3), &state(10, 3))));
}

#[test]
fn an_import_while_the_flush_is_in_flight_is_not_lost() {
    let mut scene = Scene::new(8, 8);
    let place = key(1, 1);
    scene.done(place, &ack(10));
    scene.displace(7);
    let flight = scene.collect();
    assert!(taken(import(&scene, place, &state(90, 500))), "over a victim");
    scene.write(&flight);
    scene.settle(flight, true);
    assert!(scene.cache.held(&place).is_some_and(|held| held.dirty), "the store has 10 only");
    scene.flush();
    assert_eq!(scene.rows.load(place).map(|row| row.last_acked_id()), Some(90));
}

#[test]
fn what_is_held_is_told_without_a_trace_in_the_order() {
    let mut scene = Scene::new(8, 8);
    scene.done(key(1, 1), &ack(10));
    let held = scene.cache.held(&key(1, 1)).expect("it is in memory");
    assert!(held.dirty && held.state.last_acked_id() == 10 && !held.state.holder_mark());
    assert_eq!(scene.cache.clean_keys(0, 0), Some(vec![]));
    scene.flush();
    assert!(!scene.cache.held(&key(1, 1)).expect("it is in memory").dirty);
    assert_eq!(scene.cache.clean_keys(0, 0), Some(vec![key(1, 1)]));
    assert_eq!(scene.cache.clean_keys(0, 1), None);
    scene.displace(6);
    scene.cache.held(&key(1, 1));
    scene.displace(1);
    assert_eq!(scene.cache.held(&key(1, 1)), None, "the oldest went, though it was looked at");
    scene.done(key(1, 2), &ack(10));
    scene.delete_user(1).expect("it is deleted");
    assert_eq!(scene.cache.held(&key(1, 2)), None);
}

#[test]
fn clean_keys_are_told_in_bounded_steps_and_all_of_them() {
    let mut scene = Scene::new(4_000, 4_000);
    let mut all: Vec<Key> = (1..=1_000).map(|channel| key(1, channel)).collect();
    for key in &all {
        scene.done(*key, &ack(10));
    }
    while scene.cache.dirty() > 0 {
        scene.flush();
    }
    let steps = (0..).map_while(|step| scene.cache.clean_keys(0, step));
    let steps: Vec<Vec<Key>> = steps.collect();
    assert!(steps.iter().all(|keys| keys.len() <= KEYS_PER_HOLD_MAX));
    let mut told: Vec<Key> = steps.into_iter().flatten().collect();
    told.sort_unstable();
    all.sort_unstable();
    assert!(told == all, "{} of {}", told.len(), all.len());
}

#[test]
fn every_change_is_on_one_side_of_a_cut() {
    const USERS: u64 = 8;
    let cache = Arc::new(Cache::new(sizing(1_000, 4, 1_000), Version::ZERO, 1));
    let now = Now { wall_us: NOON_US, ceiling: Version::from_micros(u64::MAX), elapsed_ms: 0 };
    let change = move |cache: &Cache, place: Key, id: u64| {
        let outcome = cache.access(&place, &ack(id), &now).unwrap_or_else(|| {
            let ticket = cache.begin_load(place).expect("one thread has this user");
            let admitted = cache.admit(ticket, None, &[ack(id)], &now);
            admitted.expect("nothing voids it").pop().expect("one outcome")
        });
        outcome.expect("it is not refused").view.version
    };
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=2)
        .map(|half| {
            let (cache, stop) = (Arc::clone(&cache), Arc::clone(&stop));
            thread::spawn(move || {
                for id in 1.. {
                    for n in 1..=USERS / 2 {
                        change(&cache, key(n * 2 + half, 1), id);
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    for round in 1..=500 {
        let before = change(&cache, key(100 + round % 9, 1), round);
        let cut = cache.cut();
        assert!(before <= cut, "a change before the cut is on its far side");
        for place in (1..=USERS).map(|n| key(200 + n, 1)) {
            assert!(
                change(&cache, place, round) > cut,
                "a change behind the cut is on its near side"
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("it does not panic"));
    cache.raise_versions(Version::from_micros(NOON_US * 2));
    assert!(change(&cache, key(1, 1), u64::MAX).as_micros() > NOON_US * 2);
    let older = Imported { taken: false, unflushed: None };
    assert_ne!(
        cache.import(&key(200 + USERS, 1), (&state(1, 0), REPLACES), None, &now),
        Some(Ok(older)),
        "dirty"
    );
    assert!(!cache.is_deletion_pending(user(1)));
}
