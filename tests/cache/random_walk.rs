//! Random walks: every kind of step in every order, every answer held against [`Truth`].

use std::{cell::Cell, thread};

use rand::{Rng, SeedableRng, rngs::StdRng};
use readstates::{
    cache::{Access, Cache, Ticket, UserDeletion},
    clock::{Clock, ManualTime, Now},
    model::{Key, ReadState, UserId, Version},
};

use crate::{
    draw::{draw_access, draw_key, draw_user},
    rows::Rows,
    scene::{Flight, NOON_US, SEED_VARIABLE, sizing},
    truth::Truth,
};

const SEEDS: u64 = 300;
const STEPS: u32 = 400;
const LOADS_MAX: usize = 6;
const FLIGHTS_MAX: usize = 4;

#[test]
fn every_answer_of_a_random_walk_is_that_of_a_plain_map() {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        let tally = walk(seed.parse().expect("a seed is a number"));
        println!("seed {seed}: {tally:?}");
        return;
    }
    let tally = (0..SEEDS).map(walk).fold(Tally::default(), Tally::and);
    println!("seeds 0..{SEEDS}: {tally:?}");
    assert!(tally.reached_everything(), "the walks avoid what they are for: {tally:?}");
}

fn walk(seed: u64) -> Tally {
    let at = Whereabouts { seed, step: Cell::new(0) };
    let mut walk = Walk::new(seed);
    for step in 0..STEPS {
        at.step.set(step);
        walk.step();
        walk.check();
    }
    walk.finish()
}

/// Says how to get back to a step that failed.
struct Whereabouts {
    seed: u64,
    step: Cell<u32>,
}

impl Drop for Whereabouts {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay: {SEED_VARIABLE}={}, step {}", self.seed, self.step.get());
        }
    }
}

/// How often the walks came where they should.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    hits: u64,
    admitted: u64,
    void: u64,
    evictions_clean: u64,
    evictions_dirty: u64,
    dirty_refused: u64,
    settled_late: u64,
    users_deleted: u64,
    changed_in_flight: u64,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            admitted: self.admitted + other.admitted,
            void: self.void + other.void,
            evictions_clean: self.evictions_clean + other.evictions_clean,
            evictions_dirty: self.evictions_dirty + other.evictions_dirty,
            dirty_refused: self.dirty_refused + other.dirty_refused,
            settled_late: self.settled_late + other.settled_late,
            users_deleted: self.users_deleted + other.users_deleted,
            changed_in_flight: self.changed_in_flight + other.changed_in_flight,
        }
    }

    fn reached_everything(&self) -> bool {
        let evictions = self.evictions_clean.min(self.evictions_dirty);
        let answers = self.hits.min(self.admitted).min(self.void).min(self.dirty_refused);
        let late = self.settled_late.min(self.users_deleted).min(self.changed_in_flight);
        evictions.min(answers).min(late) > 0
    }
}

/// What happened to a key since a load of it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Since {
    Nothing,
    /// Another load was admitted: this one may be void.
    Decided,
    /// It changed: this one must be void.
    Changed,
}

struct Load {
    ticket: Ticket,
    row: Option<ReadState>,
    access: Access,
    since: Since,
}

/// A commit under way. The store may have its rows before the cache learns of it.
struct Commit {
    rows: Flight,
    in_store: bool,
}

/// A deletion on its way to the store, step by step.
struct Deleting {
    deletion: UserDeletion,
    purged: bool,
    in_store: bool,
}

struct Walk {
    rng: StdRng,
    time: std::sync::Arc<ManualTime>,
    clock: Clock,
    cache: Cache,
    truth: Truth,
    rows: Rows,
    loads: Vec<Load>,
    commits: Vec<Commit>,
    deleting: Vec<Deleting>,
    tally: Tally,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let entries = rng.random_range(2..=24);
        let dirty_limit = rng.random_range(1..=entries);
        let sizing = sizing(entries, rng.random_range(1..=3), dirty_limit);
        let time = ManualTime::starting_at(NOON_US);
        let clock = Clock::manual(time.clone());
        clock.raise_ceiling(Version::from_micros(2 * NOON_US));
        Self {
            cache: Cache::new(sizing, Version::ZERO, rng.random()),
            truth: Truth::new(sizing.dirty_limit),
            rows: Rows::default(),
            loads: Vec::new(),
            commits: Vec::new(),
            deleting: Vec::new(),
            tally: Tally::default(),
            rng,
            time,
            clock,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.access(),
            45..50 => self.load_ahead(),
            50..64 => self.end_load(),
            64..74 => self.collect(),
            74..88 => self.advance_commit(),
            88..90 => self.delete_user(),
            90..96 => self.advance_deletion(),
            _ => self.move_time(),
        }
    }

    /// Now and then the store has not taken a new ceiling: no change may get a version.
    fn now(&mut self) -> Now {
        let now = self.clock.now();
        if self.rng.random_bool(0.02) { Now { ceiling: Version::ZERO, ..now } } else { now }
    }

    fn access(&mut self) {
        let key = draw_key(&mut self.rng);
        let access = draw_access(&mut self.rng, &self.truth.state(key).view());
        let now = self.now();
        let Some(outcome) = self.cache.access(&key, &access, &now) else {
            assert!(!self.truth.dirty.contains(&key), "I3: dirty {key:?} is not in memory");
            return self.begin_load(key, access);
        };
        if self.truth.follow(key, &access, &now, &outcome) {
            self.touch(Since::Changed, |loading| loading == key);
            self.count_changed_in_flight(key);
        }
    }

    fn count_changed_in_flight(&mut self, key: Key) {
        let mut in_commits = self.commits.iter().flat_map(|commit| &commit.rows);
        if in_commits.any(|(flying, _)| *flying == key) {
            self.tally.changed_in_flight += 1;
        }
    }

    fn load_ahead(&mut self) {
        let key = draw_key(&mut self.rng);
        self.begin_load(key, Access::Read);
    }

    fn begin_load(&mut self, key: Key, access: Access) {
        if self.loads.len() == LOADS_MAX {
            self.end_load();
        }
        match self.cache.begin_load(key) {
            Some(ticket) => {
                assert!(!self.truth.dirty.contains(&key), "I3: dirty {key:?} would be loaded");
                let row = self.rows.load(key);
                self.loads.push(Load { ticket, row, access, since: Since::Nothing });
            }
            None => assert!(self.cache.access(&key, &Access::Read, &self.clock.now()).is_some()),
        }
    }

    fn touch(&mut self, since: Since, concerns: impl Fn(Key) -> bool) {
        for load in self.loads.iter_mut().filter(|load| concerns(load.ticket.key())) {
            load.since = load.since.max(since);
        }
    }

    fn end_load(&mut self) {
        if self.loads.is_empty() {
            return;
        }
        let load = self.loads.swap_remove(self.rng.random_range(0..self.loads.len()));
        match self.rng.random_range(0..10) {
            0 => self.cache.abandon_load(load.ticket),
            // The store was slow to look: the row is of now.
            1..4 => {
                let row = self.rows.load(load.ticket.key());
                self.admit(Load { row, ..load });
            }
            _ => self.admit(load),
        }
    }

    fn admit(&mut self, load: Load) {
        let key = load.ticket.key();
        let now = self.now();
        let more = draw_access(&mut self.rng, &self.truth.state(key).view());
        let accesses = [load.access, more];
        match self.cache.admit(load.ticket, load.row, &accesses, &now) {
            Err(_) => {
                assert_ne!(load.since, Since::Nothing, "a load of {key:?} is void for no reason");
                self.tally.void += 1;
            }
            Ok(outcomes) => {
                assert_ne!(load.since, Since::Changed, "I5: a load of {key:?} came too late");
                assert_eq!(outcomes.len(), accesses.len());
                self.tally.admitted += 1;
                self.touch(Since::Decided, |loading| loading == key);
                for (access, outcome) in accesses.iter().zip(&outcomes) {
                    if self.truth.follow(key, access, &now, outcome) {
                        self.touch(Since::Changed, |loading| loading == key);
                        self.count_changed_in_flight(key);
                    }
                }
            }
        }
    }

    fn collect(&mut self) {
        if self.commits.len() == FLIGHTS_MAX {
            return self.advance_commit();
        }
        let before_ms = match self.rng.random_range(0..3) {
            0 => 0,
            1 => self.clock.elapsed_ms(),
            _ => u64::MAX,
        };
        let shard = self.rng.random_range(0..self.cache.shards());
        let limit = self.rng.random_range(1..8);
        let mut rows = Flight::new();
        self.cache.collect_due(shard, before_ms, limit, &mut rows);
        assert!(rows.len() <= limit);
        for (key, row) in &rows {
            assert!(self.truth.dirty.contains(key), "clean {key:?} was collected");
            assert_eq!(*row, self.truth.state(*key));
            let mut flying = self.commits.iter().flat_map(|commit| &commit.rows);
            assert!(flying.all(|(other, _)| other != key), "I12: {key:?} is in two commits");
        }
        self.commits.push(Commit { rows, in_store: false });
    }

    /// One commit, not always the oldest, is written, or ends.
    fn advance_commit(&mut self) {
        if self.commits.is_empty() {
            return;
        }
        let mut commit = self.commits.swap_remove(self.rng.random_range(0..self.commits.len()));
        if !commit.in_store && self.rng.random_bool(0.8) {
            self.write(&mut commit);
        }
        if commit.in_store && self.rng.random_bool(0.5) {
            self.commits.push(commit);
        } else {
            self.settle(commit);
        }
    }

    /// Some rows may fail where others are written; those end at once.
    fn write(&mut self, commit: &mut Commit) {
        let whole = self.rng.random_bool(0.7);
        let now_ms = self.clock.elapsed_ms();
        commit.rows.retain(|(key, state)| {
            let written = whole || self.rng.random_bool(0.5);
            if written {
                self.rows.write(*key, state.clone());
            } else {
                self.cache.settle(key, state.version(), false, now_ms);
            }
            written
        });
        commit.in_store = true;
    }

    fn settle(&mut self, commit: Commit) {
        for (key, state) in commit.rows {
            let now_ms = self.clock.elapsed_ms();
            self.cache.settle(&key, state.version(), commit.in_store, now_ms);
            if commit.in_store {
                let late = self.truth.state(key).version() != state.version();
                self.tally.settled_late += u64::from(late);
                self.truth.confirm(key, state.version());
            }
        }
    }

    fn delete_user(&mut self) {
        let user = draw_user(&mut self.rng);
        let now = self.now();
        let answer = self.cache.delete_user(user, &now).map(|(version, _)| version);
        self.truth.delete_user(user, &now, answer);
        if answer.is_ok() {
            self.tally.users_deleted += 1;
            self.touch(Since::Changed, |loading| loading.user == user);
        }
    }

    fn advance_deletion(&mut self) {
        for deletion in self.cache.deletions() {
            if !self.deleting.iter().any(|running| running.deletion == deletion) {
                self.deleting.push(Deleting { deletion, purged: false, in_store: false });
            }
        }
        if self.deleting.is_empty() {
            return;
        }
        let mut running = self.deleting.swap_remove(self.rng.random_range(0..self.deleting.len()));
        let UserDeletion { user, version } = running.deletion;
        if !running.purged {
            self.cache.purge_older(user, &self.rows.keys_of(user), version);
            running.purged = true;
            self.deleting.push(running);
        } else if !running.in_store {
            self.rows.delete_user(user, version);
            running.in_store = true;
            self.deleting.push(running);
        } else {
            self.cache.settle_deletion(running.deletion);
            self.settle_deletion(user, version);
        }
    }

    fn settle_deletion(&mut self, user: UserId, version: Version) {
        if self.truth.deletions.get(&user) == Some(&version) {
            self.truth.deletions.remove(&user);
            self.touch(Since::Decided, |loading| loading.user == user);
        }
    }

    fn move_time(&mut self) {
        self.time.advance_ms(self.rng.random_range(0..5));
        if self.rng.random_bool(0.3) {
            self.time.set_wall_us(NOON_US + self.rng.random_range(0..1_000));
        }
    }

    fn check(&mut self) {
        self.cache.self_check();
        assert_eq!(self.cache.dirty(), self.truth.places_taken());
        assert_eq!(self.cache.loads(), self.loads.len());
        let counts = self.cache.counts(self.clock.elapsed_ms());
        assert_eq!(counts.dirty, self.truth.dirty.len());
        assert_eq!(counts.oldest_dirty_ms.is_some(), counts.dirty > 0);
        let user = draw_user(&mut self.rng);
        self.check_list(user);
    }

    /// A list is the store's rows overlaid with what is not there yet (page by page).
    fn check_list(&mut self, user: UserId) {
        let mut overlaid = Vec::new();
        let mut after = None;
        loop {
            let page = self.cache.overlay(user, after, self.rng.random_range(1..4));
            assert_eq!(page.deleted_at, self.truth.deletions.get(&user).copied());
            assert!(page.version >= self.truth.newest(user));
            overlaid.extend(page.rows.iter().copied());
            after = page.resume_after;
            if after.is_none() {
                break;
            }
        }
        let of_user = |key: &Key| key.user == user;
        let dirty = self.truth.dirty.iter().filter(|key| of_user(key));
        let expected: Vec<_> = dirty.map(|key| (*key, self.truth.state(*key).view())).collect();
        assert_eq!(overlaid, expected, "overlay of {user}");
        let deleted_at = self.truth.deletions.get(&user).copied().unwrap_or_default();
        for (key, row) in self.rows.all().iter().filter(|(key, _)| of_user(key)) {
            let shown = row.version() > deleted_at && !self.truth.dirty.contains(key);
            assert!(!shown || *row == self.truth.state(*key), "row of {key:?}");
        }
    }

    /// Lets everything under way come to its end: the store is the truth then.
    fn finish(mut self) -> Tally {
        while !self.loads.is_empty() {
            self.end_load();
        }
        while let Some(commit) = self.commits.pop() {
            self.settle(commit);
        }
        assert_eq!(self.cache.deletions().len(), self.truth.deletions.len());
        while !self.truth.deletions.is_empty() {
            self.advance_deletion();
        }
        let commit = self.commit_everything();
        self.settle(commit);
        self.check();
        assert_eq!(self.cache.dirty(), 0);
        assert_eq!(*self.rows.all(), self.truth.states);
        let counts = self.cache.counts(0);
        Tally {
            hits: counts.hits,
            evictions_clean: counts.evictions_clean,
            evictions_dirty: counts.evictions_dirty,
            dirty_refused: counts.dirty_refused,
            ..self.tally
        }
    }

    fn commit_everything(&mut self) -> Commit {
        let mut rows = Flight::new();
        for shard in 0..self.cache.shards() {
            self.cache.collect_due(shard, u64::MAX, usize::MAX, &mut rows);
        }
        let collected = rows.iter().map(|(key, _)| *key).collect();
        assert_eq!(self.truth.dirty, collected, "not everything dirty is ever due");
        for (key, state) in &rows {
            self.rows.write(*key, state.clone());
        }
        Commit { rows, in_store: true }
    }
}
