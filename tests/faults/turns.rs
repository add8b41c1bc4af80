//! A call about thousands of states leaves others on the same thread their turns.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use readstates::{engine::Access, engine::Order, model::Key};
use tokio::task::yield_now;

use crate::{
    keys::{key, mention},
    scene::{ByHand, Plan},
};

const STATES: u64 = 8_000;
/// Less than two turns' worth: what is looked at between two turns of a neighbour is one turn, and
/// a few looks of loads that have landed.
const LOOKS_PER_TURN_MAX: u64 = 200;

fn mentions(keys: impl Iterator<Item = Key>, message: u64) -> Vec<(Key, Access)> {
    keys.map(|key| (key, Access::Update(mention(message)))).collect()
}

/// The most looks at the cache between two turns of a neighbour, while all these are changed.
async fn most_looks_in_a_turn(
    scene: &Arc<ByHand>,
    keys: impl Iterator<Item = Key>,
    message: u64,
) -> u64 {
    let looks = |scene: &ByHand| {
        let counts = scene.cache.counts(0);
        counts.hits + counts.misses
    };
    let done = Arc::new(AtomicBool::new(false));
    let (watched, over) = (Arc::clone(scene), Arc::clone(&done));
    let neighbour = tokio::spawn(async move {
        let (mut before, mut most) = (looks(&watched), 0);
        while !over.load(Ordering::SeqCst) {
            yield_now().await;
            let now = looks(&watched);
            (before, most) = (now, most.max(now - before));
        }
        most
    });
    yield_now().await;
    let results = scene.engine.access_many(mentions(keys, message), Order::PerUser).await;
    done.store(true, Ordering::SeqCst);
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|done| done.changed)));
    neighbour.await.expect("no panic")
}

#[tokio::test]
async fn many_changes_of_states_absent_and_then_present_leave_turns_to_others() {
    for users in [1, 40, STATES] {
        let plan = || Plan { entries: 100_000, ..Plan::default() };
        let keys = || (0..STATES).map(|n| key(n % users + 1, n / users + 1));
        let before = plan().by_hand().await;
        before.engine.access_many(mentions(keys(), 1), Order::Any).await;
        before.flush().await;
        let (rests, time) = (Arc::clone(&before.rests), Arc::clone(&before.time));
        let scene = Arc::new(Plan { rests, time, ..plan() }.by_hand().await);
        for (message, found) in [(2, "absent"), (3, "present")] {
            let most = most_looks_in_a_turn(&scene, keys(), message).await;
            assert!(most <= LOOKS_PER_TURN_MAX, "{most} {found} ones in a turn, of {users} users");
            assert!(most > 0, "it was watched");
        }
    }
}
