//! Many clients at once on the same state, while the server is killed and started again: whatever
//! each of them was answered, there is an order of all calls that explains it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    answered::Call,
    caller::{Caller, Life, Shared, Spans},
    checker::Candidate,
    linearize::{Span, linearize},
    node::{Node, Plan},
    settings::{DURABILITY, either, seed},
};

/// States under test at the same time, each with clients of its own.
const STATES: u64 = 50;
const CONNECTIONS: usize = 8;
const KILLS: u64 = 2;
/// States per data directory.
const STATES_PER_DISK: u64 = 500;
/// Clients that are not done by then never will be.
const LIMIT: Duration = Duration::from_secs(120);

/// A server and the states of one batch.
struct Trial {
    rng: StdRng,
    data: TempDir,
    durability: &'static str,
}

impl Trial {
    fn new(seed: u64, durability: &'static str) -> Self {
        let data = TempDir::new().expect("there is room for a directory");
        Self { rng: StdRng::seed_from_u64(seed), data, durability }
    }

    async fn start(&mut self, number: u64, clock: &AtomicU64) -> (Node, Life) {
        let entries = *["200000", "100"].choose(&mut self.rng).expect("one of them");
        let flags =
            ["--durability", self.durability, "--cache-entries", entries, "--flush-after", "100ms"];
        let node = Plan::new(self.data.path(), &flags).start();
        let node = node.unwrap_or_else(|ended| panic!("it does not start: {ended:#?}"));
        let clients = node.clients(CONNECTIONS).await;
        let begun = clock.fetch_add(1, Ordering::SeqCst);
        (node, Life { number, clients, begun })
    }

    /// Histories of the states of these users.
    async fn histories(&mut self, users: std::ops::Range<u64>) -> Vec<Vec<Span<Call>>> {
        let clock = AtomicU64::new(0);
        let (mut node, life) = self.start(0, &clock).await;
        let (next_life, lives) = watch::channel(life);
        let (answered, kill_at) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { clock, answered, kill_at, kill: Notify::new(), lives });
        let mut callers = JoinSet::new();
        let mut histories = Vec::new();
        let mut calls = 0;
        for user in users {
            let spans = Spans::default();
            let (clients, each) = (self.rng.random_range(4..=8), self.rng.random_range(6..=8));
            for _ in 0..clients {
                let caller = Caller::new(user, self.rng.random(), &spans);
                callers.spawn(caller.run(Arc::clone(&shared), each));
                calls += each;
            }
            histories.push((user, spans));
        }
        for number in 1..=KILLS {
            // Calls that were cut off or refused are never answered: ask for less than there are.
            let more = self.rng.random_range(calls / 10..calls / 4);
            let answered = shared.answered.load(Ordering::SeqCst);
            shared.kill_at.store(answered + more, Ordering::SeqCst);
            timeout(LIMIT, shared.kill.notified()).await.expect("clients are answered");
            node.kill();
            let (again, life) = self.start(number, &shared.clock).await;
            node = again;
            next_life.send_replace(life);
        }
        timeout(LIMIT, callers.join_all()).await.expect("clients are answered");
        node.kill();
        let (node, life) = self.start(KILLS + 1, &shared.clock).await;
        for (user, spans) in &histories {
            // What is left after the last kill.
            Caller::new(*user, 0, spans).read(&mut life.clients[0].clone(), &shared).await;
        }
        node.kill();
        histories.into_iter().map(|(_, spans)| std::mem::take(&mut *spans.lock())).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_is_linearizable_over_kills() {
    let (seed, begun) = (seed(), Instant::now());
    let all = either(1_000, 100_000);
    let (mut done, mut calls, mut unanswered) = (0, 0, 0);
    while done < all {
        let mut trial = Trial::new(seed + done, DURABILITY);
        let end = all.min(done + STATES_PER_DISK);
        while done < end {
            let users = 1 + done..1 + end.min(done + STATES);
            for (user, spans) in users.clone().zip(trial.histories(users.clone()).await) {
                calls += spans.len();
                unanswered += spans.iter().filter(|span| !span.answered).count();
                if let Err(found) = linearize(Candidate::default(), &spans) {
                    panic!("user {user}: no order explains this:\n{}", found.explained);
                }
            }
            done = users.end - 1;
        }
        println!("{done} histories, {calls} calls, {unanswered} unanswered, {:?}", begun.elapsed());
    }
}

/// What would be the worth of a search that finds an order for everything?
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_histories_of_a_server_that_forgets_are_not_linearizable() {
    let histories = Trial::new(seed(), "memory").histories(1..1 + STATES).await;
    let wrong = histories.iter().filter(|spans| linearize(Candidate::default(), spans).is_err());
    assert!(wrong.count() > 0, "two kills went unnoticed by the clients of {STATES} states");
}
