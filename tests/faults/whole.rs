//! The whole, at random: updates, reads, evictions, passes and deletions of users over a store that
//! fails, hangs and refuses, while clocks jump. In the end everything must be as if the changes had
//! been made one after the other, in the order of their versions, on a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    engine::{Access, Done, Error, ListQuery, Order},
    flush::{PassEnd, Scope},
    model::{Key, Operation, ReadState, UserId, Version},
    store::{Call, Gate, Moment},
};
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::{
    keys::{ack, delete, increment, key, mention, user},
    scene::{ByHand, Plan, START_US, outage},
};

const SEEDS: u64 = 100;
const STEPS: usize = 250;
const USERS: u64 = 4;
const CHANNELS: u64 = 6;
const CALLS: [Call; 6] = [
    Call::Load,
    Call::LoadMany,
    Call::LoadUser,
    Call::Commit,
    Call::DeleteUser,
    Call::RaiseClockCeiling,
];

/// What was done, by version: of one key, or away with a user.
#[derive(Default)]
struct History {
    changes: BTreeMap<(UserId, Version), (Key, Operation)>,
    deletions: BTreeSet<(UserId, Version)>,
    /// Of each key, the newest version that somebody was answered with.
    answered: BTreeMap<Key, Version>,
}

impl History {
    fn record_result(&mut self, key: Key, operation: Operation, result: Result<Done, Error>) {
        match result {
            Ok(done) => self.record(key, operation, &done),
            refused => assert_excused(refused),
        }
    }

    fn record(&mut self, key: Key, operation: Operation, done: &Done) {
        self.answer(key, done.view.version);
        if done.changed {
            let taken = self.changes.insert((key.user, done.view.version), (key, operation));
            assert_eq!(taken, None, "a version was given out twice");
        }
    }

    fn answer(&mut self, key: Key, version: Version) {
        let newest = self.answered.entry(key).or_default();
        *newest = version.max(*newest);
    }

    fn newest_answer(&self, key: Key) -> Version {
        self.answered.get(&key).copied().unwrap_or_default()
    }

    fn deleted_since(&self, user: UserId, version: Version) -> bool {
        self.deletions.range((user, version)..).any(|(deleted, _)| *deleted == user)
    }

    /// What is left, had it all been done one after the other.
    fn replay(&self) -> BTreeMap<Key, ReadState> {
        let mut states: BTreeMap<Key, ReadState> = BTreeMap::new();
        let mut deletions = self.deletions.iter().peekable();
        for ((user, version), (key, operation)) in &self.changes {
            while let Some(deletion) = deletions.next_if(|deletion| **deletion < (*user, *version))
            {
                states.retain(|key, _| key.user != deletion.0);
            }
            let state = states.entry(*key).or_default();
            assert!(state.apply(operation).changed, "{operation:?} at {version} of {key:?}");
            state.set_version(*version);
        }
        for deletion in deletions {
            states.retain(|key, _| key.user != deletion.0);
        }
        states
    }
}

/// Nothing but the store's failures, and the bound that they lead to, may refuse anything.
fn assert_excused(result: Result<Done, Error>) {
    let excused = matches!(result, Err(Error::Store(_) | Error::DirtyLimit));
    assert!(excused, "{result:?}");
}

struct Walk {
    scene: Arc<ByHand>,
    random: StdRng,
    history: Arc<Mutex<History>>,
    callers: JoinSet<()>,
    pass: Option<JoinHandle<PassEnd>>,
    gates: Vec<Gate>,
    next_message: u64,
}

impl Walk {
    async fn begin(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let plan = Plan {
            entries: random.random_range(4..24),
            batch_rows: random.random_range(1..8),
            concurrent_loads: random.random_range(1..8),
            ..Plan::default()
        };
        Self {
            scene: Arc::new(plan.by_hand().await),
            random,
            history: Arc::default(),
            callers: JoinSet::new(),
            pass: None,
            gates: Vec::new(),
            next_message: 1,
        }
    }

    fn any_key(&mut self) -> Key {
        key(self.random.random_range(1..=USERS), self.random.random_range(1..=CHANNELS))
    }

    fn any_operation(&mut self) -> Operation {
        self.next_message += 1;
        let message = self.next_message;
        match self.random.random_range(0..10) {
            0..=3 => mention(message).operation,
            4..=5 => increment().operation,
            6 => ack(message).operation,
            7 => Operation::MarkUnread { last_acked_id: message / 2, mention_count: Some(3) },
            8 => Operation::Reset,
            _ => delete().operation,
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..=39 => self.update(),
            40..=49 => self.update_many(),
            50..=64 => self.read(),
            65..=74 => self.flush().await,
            75..=79 => self.fail(),
            80..=84 => self.hold(),
            85..=89 => self.open(),
            90..=91 => self.delete_user(),
            92..=94 => self.scene.time.advance_ms(self.random.random_range(0..40_000)),
            95 => self.jump(),
            96..=97 => drop(self.scene.flusher.raise_ceiling().await),
            _ => self.scene.faults.heal(),
        }
        for _ in 0..self.random.random_range(0..4) {
            yield_now().await;
        }
    }

    fn update(&mut self) {
        let (key, operation) = (self.any_key(), self.any_operation());
        let (scene, history) = (Arc::clone(&self.scene), Arc::clone(&self.history));
        self.callers.spawn(async move {
            let result = scene.engine.update(key, operation.into()).await;
            history.lock().record_result(key, operation, result);
        });
    }

    fn update_many(&mut self) {
        let many: Vec<_> = (0..5).map(|_| (self.any_key(), self.any_operation())).collect();
        let (scene, history) = (Arc::clone(&self.scene), Arc::clone(&self.history));
        self.callers.spawn(async move {
            let access =
                |(key, operation): &(Key, Operation)| (*key, Access::Update((*operation).into()));
            let accesses: Vec<_> = many.iter().map(access).collect();
            let results = scene.engine.access_many(accesses, Order::PerUser).await;
            for ((key, operation), result) in many.into_iter().zip(results) {
                history.lock().record_result(key, operation, result);
            }
        });
    }

    /// A read shows nothing older than what anybody was answered with before it began.
    fn read(&mut self) {
        let key = self.any_key();
        let (scene, history) = (Arc::clone(&self.scene), Arc::clone(&self.history));
        self.callers.spawn(async move {
            let newest = history.lock().newest_answer(key);
            let result = scene.engine.read(key).await;
            let Ok(done) = result else { return assert_excused(result) };
            let mut history = history.lock();
            let version = done.view.version;
            let gone = history.deleted_since(key.user, newest);
            assert!(version >= newest || gone, "{key:?} at {version} after {newest}");
            history.answer(key, version);
        });
    }

    /// One pass at a time, as the flusher's thread has it (I12).
    async fn flush(&mut self) {
        match self.pass.take() {
            Some(pass) if pass.is_finished() => drop(pass.await.expect("no panic")),
            Some(pass) => {
                self.pass = Some(pass);
                return;
            }
            None => {}
        }
        let scope = if self.random.random() { Scope::Everything } else { Scope::Due };
        self.pass = Some(self.scene.spawn_pass(scope));
    }

    fn fail(&mut self) {
        if self.random.random() {
            let key = self.any_key();
            self.scene.faults.fail_keys([key]);
        } else {
            let call = CALLS[self.random.random_range(0..CALLS.len())];
            self.scene.faults.fail_next(call, self.random.random_range(1..4), outage());
        }
    }

    fn hold(&mut self) {
        let call = CALLS[self.random.random_range(0..CALLS.len() - 1)];
        let moment = if self.random.random() { Moment::Before } else { Moment::After };
        self.gates.push(self.scene.faults.hold_next(call, moment));
    }

    fn open(&mut self) {
        if !self.gates.is_empty() {
            let index = self.random.random_range(0..self.gates.len());
            self.gates.swap_remove(index).open();
        }
    }

    fn delete_user(&mut self) {
        let user = user(self.random.random_range(1..=USERS));
        if let Ok((version, _)) = self.scene.cache.delete_user(user, &self.scene.clock.now()) {
            self.history.lock().deletions.insert((user, version));
        }
    }

    fn jump(&mut self) {
        let hours = self.random.random_range(0..48);
        self.scene.time.set_wall_us(START_US - 24 * 3_600_000_000 + hours * 3_600_000_000);
    }

    /// Heals the store and lets everything end.
    async fn end(mut self) {
        self.gates.clear();
        self.scene.faults.heal();
        while let Some(caller) = self.callers.join_next().await {
            caller.expect("no panic");
        }
        if let Some(pass) = self.pass.take() {
            pass.await.expect("no panic");
        }
        self.scene.flush().await;
        assert_eq!(self.scene.cache.loads(), 0);
        let expected = self.history.lock().replay();
        compare(&self.scene, &expected).await;
        let plan = Plan { rests: self.scene.rests.clone(), ..Plan::default() };
        compare(&plan.by_hand().await, &expected).await;
    }
}

/// Whatever looks sees the states that are expected.
async fn compare(scene: &ByHand, expected: &BTreeMap<Key, ReadState>) {
    let rows = scene.rests.scan(None, usize::MAX).await.expect("it never fails");
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.state)).collect();
    assert_eq!(&rows, expected);
    for user_id in 1..=USERS {
        for channel in 1..=CHANNELS {
            let key = key(user_id, channel);
            let view = expected.get(&key).cloned().unwrap_or_default().view();
            assert_eq!(scene.read(key).await, view, "{key:?}");
        }
        let page = list(scene, user(user_id)).await.expect("the store is well");
        let alive =
            expected.iter().filter(|(key, state)| key.user == user(user_id) && state.exists());
        let alive: Vec<_> = alive.map(|(key, state)| (*key, state.view())).collect();
        assert_eq!(page, alive);
    }
    scene.cache.self_check();
}

async fn list(scene: &ByHand, user: UserId) -> Result<Vec<(Key, readstates::model::View)>, Error> {
    let (page_token, since) = ("", Version::ZERO);
    let query = ListQuery { user, page_size: 1_000, page_token, since, unread_only: false };
    Ok(scene.engine.list(query).await?.rows)
}

/// Paused, so that what hangs for good runs into its deadline at once.
#[tokio::test(start_paused = true)]
async fn whatever_fails_the_end_is_as_if_done_in_order_on_a_map() {
    let first: u64 = rand::random();
    for seed in (0..SEEDS).map(|n| first.wrapping_add(n)) {
        println!("seed {seed}");
        let mut walk = Walk::begin(seed).await;
        for step in 0..STEPS {
            walk.step().await;
            if step % 50 == 0 {
                walk.scene.cache.self_check();
            }
        }
        walk.end().await;
    }
}
