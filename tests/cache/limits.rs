//! The bounds of a cache: capacity, dirty limit, and the bytes of large states.

use readstates::{
    cache::{Access, ENTRY_BYTES, Refusal},
    model::{Guard, Kind, LEDGER_MAX, MentionOutcome, Operation, Update, Version},
};

use crate::scene::{Scene, ack, increment, key, mention, message, update};

#[test]
fn at_the_dirty_limit_a_clean_state_is_refused_and_stays_as_it_was() {
    let mut scene = Scene::new(64, 2);
    let clean = scene.done(key(1, 1), &mention(10));
    scene.flush();
    scene.done(key(2, 1), &ack(1));
    scene.done(key(2, 2), &ack(1));
    assert_eq!(scene.access(key(1, 1), &mention(20)), Err(Refusal::DirtyLimit));
    assert_eq!(scene.access(key(9, 9), &mention(20)), Err(Refusal::DirtyLimit));
    assert_eq!(scene.view(key(1, 1)), clean.view);
    assert!(!scene.view(key(9, 9)).exists());
    assert_eq!(scene.cache.counts(0).dirty_refused, 2);
    assert_eq!(scene.cache.dirty(), 2);
    scene.flush();
    assert_eq!(scene.done(key(1, 1), &mention(20)).view.mention_count, 2);
}

#[test]
fn at_the_dirty_limit_what_changes_nothing_is_answered() {
    let mut scene = Scene::new(64, 1);
    let clean = scene.done(key(1, 1), &mention(10));
    scene.flush();
    scene.done(key(2, 1), &ack(1));
    let duplicate = scene.done(key(1, 1), &mention(10));
    assert_eq!(duplicate.outcome, Some(MentionOutcome::Duplicate));
    assert_eq!((duplicate.view, duplicate.changed), (clean.view, false));
    assert_eq!(duplicate.unflushed, None);
    let retract = update(Operation::Retract { message: message(99) });
    assert!(!scene.done(key(1, 1), &retract).changed);
    let guard = Guard { version: Some(Version::ZERO), last_acked_id: None };
    let guarded = Access::Update(Update { operation: Operation::Reset, guard });
    let mismatch = Refusal::Mismatch { view: clean.view, unflushed: None };
    assert_eq!(scene.access(key(1, 1), &guarded), Err(mismatch), "guards are checked first");
    assert_eq!(scene.cache.counts(0).dirty_refused, 0);
}

#[test]
fn at_the_dirty_limit_states_that_are_dirty_already_go_on() {
    let mut scene = Scene::new(4, 2);
    scene.done(key(1, 1), &ack(10));
    scene.done(key(1, 2), &ack(10));
    for id in 11..50 {
        scene.done(key(1, 1 + id % 2), &ack(id));
    }
    let flight = scene.collect();
    assert_eq!(scene.done(key(1, 1), &ack(100)).view.last_acked_id, 100, "in flight or not");
    assert_eq!(scene.access(key(1, 3), &ack(1)), Err(Refusal::DirtyLimit));
    scene.write(&flight);
    scene.settle(flight, true);
    assert_eq!(scene.cache.dirty(), 1, "one changed while its commit was under way");
    scene.done(key(1, 3), &ack(1));
}

#[test]
fn an_unchanging_update_takes_no_place() {
    let scene = Scene::new(4, 1);
    for channel in 1..=3 {
        assert!(!scene.done(key(1, channel), &update(Operation::Reset)).changed);
    }
    assert_eq!(scene.cache.dirty(), 0);
    assert_eq!(scene.cache.counts(0).entries, 0, "what does not exist takes no entry");
}

#[test]
fn an_evicted_clean_state_is_freed_at_once() {
    let mut scene = Scene::new(64, 64);
    for channel in 1..=6 {
        for id in 0..20 {
            scene.done(key(1, channel), &mention(1 + id));
        }
    }
    scene.flush();
    let full = scene.cache.counts(0);
    assert_eq!((full.entries, full.victims, full.evictions_clean), (6, 0, 0));
    let each = full.extra_bytes / 6;
    for id in 20..50 {
        scene.done(key(2, 1), &mention(id));
        scene.flush();
    }
    scene.displace(64);
    let after = scene.cache.counts(0);
    assert!(after.evictions_clean >= 6, "{after:?}");
    assert!((1..=6).all(|channel| scene.resident(key(1, channel)).is_none()));
    let shown = after.extra_bytes / each;
    assert!(shown <= 6, "the bytes of evicted states are still charged: {after:?}");
}

#[test]
fn a_settled_victim_is_freed_at_once() {
    let mut scene = Scene::new(8, 8);
    for id in 1..=5 {
        scene.done(key(1, 1), &mention(id));
    }
    scene.displace(7);
    let before = scene.cache.counts(0);
    assert_eq!(before.victims, 1, "{before:?}");
    assert!(before.extra_bytes > 0);
    scene.flush();
    let after = scene.cache.counts(0);
    assert_eq!((after.victims, after.extra_bytes, after.dirty), (0, 0, 0));
    assert_eq!(after.entries, before.entries - 1);
}

#[test]
fn victims_count_against_the_capacity() {
    let mut scene = Scene::new(16, 16);
    let mut most = 0;
    for channel in 1..=40 {
        if scene.access(key(1, channel), &ack(1)) == Err(Refusal::DirtyLimit) {
            let flight = scene.collect_before(1);
            scene.write(&flight[..flight.len() / 2].to_vec());
            let (written, lost) = flight.split_at(flight.len() / 2);
            scene.settle(written.to_vec(), true);
            scene.settle(lost.to_vec(), false);
        }
        most = most.max(scene.cache.counts(0).victims);
        assert!(scene.cache.counts(0).entries <= 16);
    }
    assert!(most > 0, "nothing was evicted while dirty");
    // With every place dirty and evicted but one, the next state displaces the last entry.
    assert!(scene.cache.counts(0).evictions_dirty > 0);
}

/// An evicted dirty state frees nothing, so eviction goes on behind it, but not without end.
#[test]
fn a_long_run_of_dirty_states_at_the_end_of_the_lru_is_evicted_bit_by_bit() {
    const RUN: u64 = 1_000;
    let mut scene = Scene::new(2_000, RUN as usize);
    for channel in 1..=RUN {
        scene.done(key(1, channel), &ack(1));
    }
    scene.displace(2_000 - RUN);
    for _ in 0..8 {
        let before = scene.cache.counts(0).victims;
        scene.displace(1);
        let moved = scene.cache.counts(0).victims - before;
        assert!(moved <= 256, "{moved} in one hold of the lock");
    }
    let counts = scene.cache.counts(0);
    assert_eq!((counts.victims, counts.dirty), (RUN as usize, RUN as usize));
    scene.flush();
    assert_eq!(scene.cache.counts(0).victims, RUN as usize - 256, "a hold's worth was flushed");
}

#[test]
fn a_large_ledger_takes_the_places_of_others() {
    let mut scene = Scene::new(64, 64);
    for channel in 1..=40 {
        scene.done(key(1, channel), &ack(1));
    }
    scene.flush();
    assert_eq!(scene.cache.counts(0).evictions_clean, 0);
    for id in 1..=3 * LEDGER_MAX as u64 {
        for channel in 1..=3 {
            scene.done(key(2, channel), &mention(id));
        }
    }
    let counts = scene.cache.counts(0);
    assert!(counts.extra_bytes >= 3 * LEDGER_MAX * size_of::<u64>());
    assert!(counts.evictions_clean > 0);
    let places = counts.entries + counts.extra_bytes.div_ceil(ENTRY_BYTES);
    assert!(places <= 64, "{counts:?}");
    let done = scene.done(key(2, 1), &ack(10_000));
    assert_eq!(done.previous.mention_count, 3 * LEDGER_MAX as u32);
    assert!(scene.cache.counts(0).extra_bytes < counts.extra_bytes, "a read ledger is freed");
}

#[test]
fn a_state_larger_than_its_shard_is_evicted_and_comes_back_whole() {
    let mut scene = Scene::new(4, 4);
    for id in 1..=LEDGER_MAX as u64 {
        assert_eq!(scene.done(key(1, 1), &mention(id)).view.mention_count, id as u32);
    }
    scene.flush();
    assert_eq!(scene.view(key(1, 1)).mention_count, LEDGER_MAX as u32);
    assert_eq!(scene.done(key(1, 1), &ack(100)).view.mention_count, LEDGER_MAX as u32 - 100);
}

/// Scenario 9a.
#[test]
fn two_kinds_of_one_channel_id_never_touch() {
    let mut scene = Scene::new(16, 16);
    let keys = Kind::ALL.map(|kind| readstates::model::Key { kind, ..key(1, 7) });
    let check = |scene: &Scene, when| {
        for (index, key) in keys.into_iter().enumerate() {
            let view = scene.view(key);
            let seen = (view.last_acked_id, view.mention_count);
            assert_eq!(seen, (10 * index as u64 + 1, index as u32), "{:?} {when}", key.kind);
        }
    };
    for (index, key) in keys.into_iter().enumerate() {
        scene.done(key, &ack(10 * index as u64 + 1));
        for _ in 0..index {
            scene.done(key, &increment());
        }
    }
    check(&scene, "after the updates");
    scene.flush();
    scene.displace(16);
    check(&scene, "loaded again");
    scene.done(keys[0], &update(Operation::Delete));
    assert!(!scene.view(keys[0]).exists());
    assert!(keys[1..].iter().all(|key| scene.view(*key).exists()));
}

#[test]
fn kinds_other_than_channels_are_evicted_among_themselves() {
    let mut scene = Scene::new(34, 34);
    scene.done(key(1, 1), &ack(1));
    for owner in 1..=20 {
        let guild = readstates::model::Key { kind: Kind::GuildHome, ..key(2, owner) };
        scene.done(guild, &ack(owner));
        scene.flush();
    }
    assert!(scene.resident(key(1, 1)).is_some(), "channels have their own order");
    let last = readstates::model::Key { kind: Kind::GuildHome, ..key(2, 20) };
    assert!(scene.resident(last).is_some());
    assert_eq!(scene.cache.counts(0).evictions_clean, 18);
}

#[test]
fn what_is_not_due_waits_unless_it_was_evicted() {
    let mut scene = Scene::new(8, 8);
    scene.now.elapsed_ms = 100;
    scene.done(key(1, 1), &ack(1));
    scene.now.elapsed_ms = 200;
    scene.done(key(1, 2), &ack(1));
    scene.done(key(1, 1), &ack(2));
    assert_eq!(scene.cache.counts(250).oldest_dirty_ms, Some(150));
    assert_eq!(scene.collect_before(100), [], "changed at 100, not before");
    let due = scene.collect_before(101);
    let keys: Vec<_> = due.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [key(1, 1)], "the first change counts, not the last");
    scene.settle(due, false);
    scene.displace(3);
    scene.done(key(1, 1), &Access::Read);
    scene.displace(3);
    let evicted = scene.collect_before(0);
    let keys: Vec<_> = evicted.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [key(1, 2)], "the least recently used one, whenever it changed");
    scene.done(key(1, 2), &Access::Read);
    scene.settle(evicted, false);
    let urgent = scene.collect_before(0);
    assert!(urgent.iter().all(|(urgent, _)| *urgent != key(1, 2)), "it is an entry again");
}

#[test]
fn a_hit_a_miss_and_an_absent_key_are_counted() {
    let scene = Scene::new(4, 4);
    scene.done(key(1, 1), &ack(1));
    scene.done(key(1, 1), &ack(2));
    assert!(scene.resident(key(1, 2)).is_none());
    let counts = scene.cache.counts(0);
    assert_eq!((counts.hits, counts.misses, counts.entries), (1, 2, 1));
    assert!(scene.cache.begin_load(key(1, 1)).is_none());
    let ticket = scene.begin(key(1, 2));
    assert_eq!(scene.cache.loads(), 1);
    scene.cache.abandon_load(ticket);
    assert_eq!(scene.cache.loads(), 0);
}

#[test]
fn a_cache_closes_only_when_clean_and_then_takes_no_change() {
    let mut scene = Scene::new(8, 8);
    scene.done(key(1, 1), &ack(10));
    assert!(!scene.cache.close_if_clean());
    scene.done(key(1, 2), &ack(10));
    scene.flush();
    assert!(scene.cache.close_if_clean());
    assert_eq!(scene.access(key(1, 1), &ack(20)), Err(Refusal::Closed));
    assert_eq!(scene.access(key(1, 3), &ack(20)), Err(Refusal::Closed));
    assert_eq!(scene.delete_user(1), Err(Refusal::Closed));
    assert!(!scene.done(key(1, 1), &ack(10)).changed, "what changes nothing is still answered");
    assert!(scene.cache.close_if_clean());
    assert_eq!(scene.cache.dirty(), 0);
}
