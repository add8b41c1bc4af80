//! Scenario 40: the wall clock goes back and forth, also over restarts; versions rise all the same.

use std::sync::Arc;

use readstates::{
    clock::ManualTime,
    engine::ListQuery,
    model::Version,
    store::{Call, EmbeddedOptions, EmbeddedStore, Store},
};
use tempfile::TempDir;

use crate::{
    keys::{increment, key, mention, user},
    scene::{ALWAYS, ByHand, Plan, START_US, outage},
};

const HOUR_US: u64 = 3_600_000_000;
const CHANNELS: u64 = 5;

/// One update of each channel of user 1; each version is above the one before.
async fn update_all(scene: &ByHand, last: &mut Version) {
    for channel in 1..=CHANNELS {
        let version = scene.update(key(1, channel), increment()).await.view.version;
        assert!(version > *last, "{version} after {last}");
        *last = version;
    }
}

async fn open(folder: &TempDir, wall_us: u64) -> ByHand {
    let store = EmbeddedStore::open(&EmbeddedOptions::new(folder.path().join("store")));
    let rests: Arc<dyn Store> = Arc::new(store.expect("the store opens"));
    Plan { rests, time: ManualTime::starting_at(wall_us), ..Plan::default() }.by_hand().await
}

async fn close(scene: ByHand) {
    scene.flush().await;
    scene.store.close().await.expect("it closes");
}

#[tokio::test]
async fn scenario_40_versions_rise_over_restarts_with_the_clock_set_back_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut last = Version::ZERO;
    let walls = [START_US, START_US - HOUR_US, START_US - 2 * HOUR_US, START_US + HOUR_US, 0];
    for (restarts, wall_us) in walls.into_iter().enumerate() {
        let scene = open(&folder, wall_us).await;
        let before = scene.engine.list(everything()).await.expect("a page");
        update_all(&scene, &mut last).await;
        // Twice, so that what the shard gave out counts too, not only the ceiling.
        update_all(&scene, &mut last).await;
        for channel in 1..=CHANNELS {
            let count = scene.read(key(1, channel)).await.mention_count;
            assert_eq!(count as usize, 2 * (restarts + 1));
        }
        // Whoever has synchronised before the restart misses nothing.
        let since = ListQuery { since: before.version, ..everything() };
        let after = scene.engine.list(since).await.expect("a page");
        assert_eq!(after.rows.len() as u64, CHANNELS);
        close(scene).await;
    }
}

fn everything() -> ListQuery<'static> {
    let (page_token, since) = ("", Version::ZERO);
    ListQuery { user: user(1), page_size: 100, page_token, since, unread_only: false }
}

#[tokio::test]
async fn versions_rise_while_the_wall_clock_jumps_ahead_and_back() {
    let scene = Plan::default().by_hand().await;
    let mut last = Version::ZERO;
    let jumps = [0, HOUR_US, 100 * HOUR_US, HOUR_US, 0, 10_000 * HOUR_US, 0];
    for ahead in jumps {
        scene.time.set_wall_us(START_US + ahead);
        update_all(&scene, &mut last).await;
        scene.flusher.raise_ceiling().await.expect("the store is well");
        update_all(&scene, &mut last).await;
        let ceiling = scene.rests.clock_ceiling().await.expect("a ceiling");
        assert!(last < ceiling, "{last} is not below the durable {ceiling}");
    }
    scene.flush().await;
    let counted = 2 * jumps.len() as u32;
    assert_eq!(scene.stored(key(1, 1)).await.expect("a row").mention_count(), counted);
}

/// A crash right after the jump, before anything was flushed: what was given out stays below.
#[tokio::test]
async fn no_version_given_out_before_a_crash_is_given_out_again() {
    let time = ManualTime::starting_at(START_US);
    let scene = Plan { time, ..Plan::default() }.by_hand().await;
    let mut last = Version::ZERO;
    scene.time.set_wall_us(START_US + HOUR_US);
    update_all(&scene, &mut last).await;
    // No raise, no flush: the process is gone. The next one finds the clock right again.
    let rests = Arc::clone(&scene.rests);
    drop(scene);
    let restarted = Plan { rests, ..Plan::default() }.by_hand().await;
    update_all(&restarted, &mut last).await;
}

#[tokio::test]
async fn versions_go_on_for_long_while_the_ceiling_cannot_be_raised() {
    let scene = Plan::default().by_hand().await;
    scene.faults.fail_next(Call::RaiseClockCeiling, ALWAYS, outage());
    let ceiling = scene.rests.clock_ceiling().await.expect("a ceiling");
    let mut last = Version::ZERO;
    for _ in 0..100 {
        scene.time.advance_ms(60_000);
        scene.flusher.raise_ceiling().await.expect_err("the store is away");
        update_all(&scene, &mut last).await;
    }
    assert!(last <= ceiling);
    let done = scene.update(key(1, 1), mention(10)).await;
    assert!(done.view.version > last);
}
