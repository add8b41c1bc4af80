//! Deleting a whole user: at once for everyone who asks, by and by in memory and store.

use readstates::{
    cache::Refusal,
    model::{Kind, View},
};

use crate::scene::{Scene, ack, key, user};

#[test]
fn nothing_of_a_deleted_user_is_seen_again_clean_or_dirty_or_evicted() {
    let mut scene = Scene::new(8, 8);
    scene.done(key(1, 1), &ack(10));
    scene.flush();
    scene.done(key(1, 2), &ack(10));
    scene.displace(7);
    scene.done(key(1, 3), &ack(10));
    assert!(scene.cache.counts(0).victims > 0);
    scene.delete_user(1).expect("a deletion of a user who has dirty states needs one place");
    for channel in 1..=3 {
        assert!(!scene.view(key(1, channel)).exists(), "channel {channel}");
    }
    assert_eq!(scene.cache.overlay(user(1), None, 10).rows, []);
    scene.flush_deletions();
    assert!(scene.rows.keys_of(user(1)).is_empty());
    assert!((1..=3).all(|channel| !scene.view(key(1, channel)).exists()));
}

#[test]
fn a_deletion_frees_the_places_of_all_dirty_states_and_takes_one() {
    const STATES: u64 = 300;
    let mut scene = Scene::new(3 * STATES as usize, 2 * STATES as usize);
    for channel in 1..=STATES {
        scene.done(key(1, channel), &ack(channel));
        scene.done(key(2, channel), &ack(channel));
    }
    assert_eq!(scene.delete_user(3), Err(Refusal::DirtyLimit));
    // Even a user with dirty states: the place is taken before theirs are free.
    assert_eq!(scene.delete_user(1), Err(Refusal::DirtyLimit));
    let first = scene.collect_before(1);
    assert_eq!(first.len(), 256, "one hold of one shard");
    scene.write(&first);
    scene.settle(first, true);
    scene.delete_user(1).expect("places are free");
    let others = scene.cache.counts(0).dirty;
    assert_eq!(scene.cache.dirty(), others + 1);
    let version = scene.delete_user(1).expect("one more deletion of one user needs no place");
    assert_eq!(scene.cache.dirty(), others + 1);
    assert_eq!(scene.cache.overlay(user(1), None, 1).deleted_at, Some(version));
}

#[test]
fn what_a_user_makes_after_the_deletion_stays() {
    let mut scene = Scene::new(8, 8);
    scene.done(key(1, 1), &ack(10));
    scene.flush();
    let deleted_at = scene.delete_user(1).expect("a place is free");
    let done = scene.done(key(1, 1), &ack(5));
    assert!(done.view.version > deleted_at);
    assert_eq!(done.previous.last_acked_id, 0);
    scene.flush_deletions();
    assert_eq!(scene.view(key(1, 1)).last_acked_id, 5);
    scene.flush();
    assert_eq!(scene.rows.load(key(1, 1)).map(|row| row.last_acked_id()), Some(5));
}

#[test]
fn a_confirmed_deletion_does_not_stand_for_a_newer_one() {
    let mut scene = Scene::new(8, 8);
    scene.delete_user(1).expect("a place is free");
    let older = scene.cache.deletions()[0];
    scene.done(key(1, 1), &ack(10));
    scene.flush();
    let newer = scene.delete_user(1).expect("it has a place");
    scene.cache.settle_deletion(older);
    assert!(!scene.view(key(1, 1)).exists(), "the newer one still hides");
    assert_eq!(scene.cache.deletions().len(), 1);
    assert_eq!(scene.cache.deletions()[0].version, newer);
    assert_eq!(scene.cache.dirty(), 1);
}

#[test]
fn overlays_are_in_key_order_page_by_page_and_of_one_user() {
    let mut scene = Scene::new(64, 64);
    for channel in (1..=9).rev() {
        scene.done(key(1, channel), &ack(channel));
        scene.done(key(2, channel), &ack(channel));
    }
    scene.flush();
    for channel in [7, 3, 5] {
        scene.done(key(1, channel), &ack(10 + channel));
    }
    let mut guild = key(1, 1);
    guild.kind = Kind::GuildHome;
    scene.done(guild, &ack(1));
    let page = scene.cache.overlay(user(1), None, 3);
    let expected = [3, 5, 7].map(|channel| (key(1, channel), scene.view(key(1, channel))));
    assert_eq!(page.rows, expected);
    assert_eq!(page.resume_after, Some(key(1, 7)));
    let page = scene.cache.overlay(user(1), page.resume_after, 3);
    assert_eq!(page.rows.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [guild]);
    assert_eq!(page.resume_after, None);
    let newest = scene.view(guild).version;
    assert!(page.version >= newest);
    assert_eq!(scene.view(key(3, 1)), View { mentions_exact: true, ..View::default() });
}
