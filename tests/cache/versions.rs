//! Versions: rising for a user over all keys, below the ceiling, whatever the wall clock does.

use readstates::{
    cache::{Access, Refusal},
    clock::{Clock, ManualTime},
    model::{Operation, Version},
};

use crate::scene::{NOON_US, Scene, ack, key, mention, update};

const HOUR_US: u64 = 3_600_000_000;

/// Scenario 40.
#[test]
fn versions_of_a_user_rise_over_all_channels_while_the_clock_goes_back() {
    let time = ManualTime::starting_at(NOON_US);
    let clock = Clock::manual(time.clone());
    clock.raise_ceiling(Version::from_micros(NOON_US + HOUR_US));
    let mut scene = Scene::new(4, 4);
    let mut newest = Version::ZERO;
    for step in 1..=200 {
        time.set_wall_us(NOON_US - step * HOUR_US / 100);
        scene.now = clock.now();
        // Of ten channels seven do not fit: what is loaded again must not start lower.
        let version = scene.done(key(1, 1 + step % 10), &ack(step)).view.version;
        assert!(version > newest);
        newest = version;
        scene.flush();
    }
    assert_eq!(scene.cache.newest_version(), newest);
    time.set_wall_us(NOON_US + HOUR_US / 2);
    scene.now = clock.now();
    let version = scene.done(key(1, 1), &ack(1_000)).view.version;
    assert_eq!(version, Version::from_micros(NOON_US + HOUR_US / 2), "the clock has caught up");
}

#[test]
fn versions_start_above_those_given_out_before_and_above_what_is_loaded() {
    let mut scene = Scene::new(4, 4);
    let row = scene.done(key(1, 1), &ack(1)).view.version;
    scene.flush();
    let mut restarted = Scene::new(4, 4);
    restarted.rows = std::mem::take(&mut scene.rows);
    restarted.now.wall_us = NOON_US - HOUR_US;
    assert_eq!(restarted.view(key(1, 1)).version, row);
    let version = restarted.done(key(1, 2), &ack(1)).view.version;
    assert!(version > row, "the user has a newer state in another channel");
}

#[test]
fn at_the_ceiling_changes_are_refused_and_no_others() {
    let mut scene = Scene::new(4, 4);
    let before = scene.done(key(1, 1), &ack(10));
    scene.now.ceiling = before.view.version;
    assert_eq!(scene.access(key(1, 1), &ack(20)), Err(Refusal::ClockCeiling));
    assert_eq!(scene.access(key(1, 2), &mention(1)), Err(Refusal::ClockCeiling));
    assert_eq!(scene.delete_user(1), Err(Refusal::ClockCeiling));
    assert_eq!(scene.view(key(1, 1)), before.view);
    assert!(!scene.view(key(1, 2)).exists());
    for unchanging in [ack(5), ack(10), mention(3), update(Operation::Reset), Access::Read] {
        let done = scene.done(key(1, 1), &unchanging);
        assert_eq!((done.view, done.changed), (before.view, false), "{unchanging:?}");
    }
    scene.now.ceiling = before.view.version.next();
    assert_eq!(scene.done(key(1, 1), &ack(20)).view.version, scene.now.ceiling);
}
