//! Misses: one load per key at a time, whoever asks (single-flight), detached from all who ask.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout},
};

use super::{Durability, EngineSettings, Error, breaker::Breaker, leave_turn};
use crate::{
    cache::{Access, Cache, KEYS_PER_HOLD_MAX, Outcome, Ticket},
    clock::Clock,
    journal::Reservation,
    metrics::{Metrics, StoreOperation},
    model::{Key, ReadState},
    store::{Store, StoreError},
};

/// Keys in one read from the store, and in one hold of the flights' lock.
const KEYS_PER_LOAD_MAX: usize = 256;
/// Keys that wait to be loaded, beyond which callers are refused.
const KEYS_WAITING_MAX: usize = 65_536;
/// A load that takes longer has failed, and so has one that waited longer for its turn.
pub(super) const LOAD_DEADLINE: Duration = Duration::from_secs(5);
/// How often a load is begun anew because its key was touched meanwhile.
const LOAD_ATTEMPTS_MAX: usize = 64;

/// Brings absent states into the cache and does there what waits for them.
#[derive(Clone)]
pub(super) struct Loader {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Arc<Cache>,
    store: Arc<dyn Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    durability: Durability,
    breaker: Arc<Breaker>,
    /// Keys being loaded, with all who wait for each. Never held together with a shard's lock.
    flights: Mutex<HashMap<Key, Vec<Waiter>>>,
    /// Bounds the loads that the store sees at once.
    permits: Semaphore,
}

struct Waiter {
    access: Access,
    answer: oneshot::Sender<Result<Outcome, Error>>,
}

/// What a caller waits for. Dropping it changes nothing for others who wait for the same load.
pub(super) type Loading = oneshot::Receiver<Result<Outcome, Error>>;

impl Loader {
    pub fn new(
        cache: Arc<Cache>,
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
        breaker: Arc<Breaker>,
        settings: &EngineSettings,
    ) -> Self {
        let flights = Mutex::default();
        let permits = Semaphore::new(settings.concurrent_loads.max(1));
        let durability = settings.durability.clone();
        let shared = Shared { cache, store, clock, metrics, durability, breaker, flights, permits };
        Self { shared: Arc::new(shared) }
    }

    /// Loads `key` and does `access` on what comes, before anybody else can see it.
    pub async fn access(&self, key: Key, access: Access) -> Result<Outcome, Error> {
        let mut loading = Vec::with_capacity(1);
        self.submit_some(&[(key, access)], &mut loading);
        let Some(loading) = loading.pop() else { return Err(Error::TooManyLoads) };
        landed(loading).await
    }

    /// As [`Self::access`] for many keys, which are read from the store together. Where the caller
    /// goes away meanwhile, some of them are not begun.
    pub async fn submit(&self, accesses: &[(Key, Access)]) -> Vec<Loading> {
        let mut loading = Vec::with_capacity(accesses.len());
        for accesses in accesses.chunks(KEYS_PER_LOAD_MAX) {
            if !loading.is_empty() {
                // Between two holds, others on this runtime get their turn.
                leave_turn().await;
            }
            self.submit_some(accesses, &mut loading);
        }
        loading
    }

    /// Begins one read of those that nobody is reading, in one hold of the flights' lock.
    fn submit_some(&self, accesses: &[(Key, Access)], loading: &mut Vec<Loading>) {
        let mut fresh = Vec::new();
        {
            let mut flights = self.shared.flights.lock();
            for &(key, access) in accesses {
                let (answer, receiver) = oneshot::channel();
                let waiter = Waiter { access, answer };
                loading.push(receiver);
                if let Some(waiters) = flights.get_mut(&key) {
                    self.shared.metrics.coalesced_loads.inc();
                    waiters.push(waiter);
                } else if flights.len() >= KEYS_WAITING_MAX {
                    let _ = waiter.answer.send(Err(Error::TooManyLoads));
                } else {
                    flights.insert(key, vec![waiter]);
                    fresh.push(key);
                }
            }
        }
        if !fresh.is_empty() {
            // Detached: a caller that goes away costs those who wait with it nothing, and splits
            // no write.
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.fly(fresh).await });
        }
    }
}

/// What a read that passed its deadline has failed with.
pub(super) fn late() -> StoreError {
    StoreError::Unavailable(format!("no answer within {LOAD_DEADLINE:?}"))
}

/// The outcome of a load.
pub(super) async fn landed(loading: Loading) -> Result<Outcome, Error> {
    loading.await.unwrap_or(Err(Error::Store(StoreError::Closed)))
}

/// How many of those who wait first need no more than so many records, and fit in one hold of the
/// lock.
fn waiters_within(waiting: &[Waiter], records: usize) -> usize {
    let mut left = records;
    let fits = |waiter: &&Waiter| {
        let needed = waiter.access.records();
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    waiting.iter().take(KEYS_PER_HOLD_MAX).take_while(fits).count()
}

impl Shared {
    async fn fly(&self, mut keys: Vec<Key>) {
        let Ok(Ok(_permit)) = timeout(LOAD_DEADLINE, self.permits.acquire()).await else {
            // Those ahead hang: whoever waits behind them is told, not kept.
            return self.fail_each(keys, &Error::TooManyLoads);
        };
        self.metrics.loads_in_flight.inc();
        for _ in 0..LOAD_ATTEMPTS_MAX {
            keys = self.attempt(keys).await;
            if keys.is_empty() {
                break;
            }
        }
        self.metrics.loads_in_flight.dec();
        self.fail_each(keys, &Error::TooManyLoads);
    }

    /// Loads what is still absent; returns the keys that have to be tried again.
    async fn attempt(&self, keys: Vec<Key>) -> Vec<Key> {
        let mut again = Vec::new();
        let mut tickets = Vec::with_capacity(keys.len());
        for key in keys {
            match self.cache.begin_load(key) {
                Some(ticket) => tickets.push(ticket),
                None => again.extend(self.serve_present(key).await),
            }
        }
        if tickets.is_empty() {
            return again;
        }
        let states = match self.breaker.admit() {
            Ok(()) => self.read(&tickets).await,
            Err(error) => Err(error),
        };
        match states {
            Ok(states) => {
                for (ticket, state) in tickets.into_iter().zip(states) {
                    again.extend(self.arrive(ticket, state).await);
                }
            }
            Err(error) => self.give_up(tickets, &error.into()),
        }
        again
    }

    async fn read(&self, tickets: &[Ticket]) -> Result<Vec<Option<ReadState>>, StoreError> {
        let started = Instant::now();
        let (operation, read) = if let [ticket] = tickets {
            let key = ticket.key();
            (StoreOperation::Load, timeout(LOAD_DEADLINE, self.read_one(key)).await)
        } else {
            let keys = tickets.iter().map(Ticket::key).collect();
            (StoreOperation::LoadMany, timeout(LOAD_DEADLINE, self.store.load_many(keys)).await)
        };
        let in_time = read.is_ok();
        let states = read.unwrap_or_else(|_| Err(late()));
        self.breaker.record(states.as_ref().err(), in_time);
        self.metrics.store.record(
            operation,
            started.elapsed(),
            states.as_ref().err().map(StoreError::kind),
        );
        states
    }

    async fn read_one(&self, key: Key) -> Result<Vec<Option<ReadState>>, StoreError> {
        Ok(vec![self.store.load(key).await?])
    }

    /// Admits what came and does what waits for it; returns the key where the ticket was void, or
    /// more waits for it than one hold of the lock may serve (I1).
    async fn arrive(&self, ticket: Ticket, state: Option<ReadState>) -> Option<Key> {
        let key = ticket.key();
        let (waiters, _room) = self.take_waiters(&key).await;
        let accesses: Vec<Access> = waiters.iter().map(|waiter| waiter.access).collect();
        match self.cache.admit(ticket, state, &accesses, &self.clock.now()) {
            Ok(outcomes) => {
                for (waiter, outcome) in waiters.into_iter().zip(outcomes) {
                    let _ = waiter.answer.send(Ok(outcome));
                }
                self.unserved(key)
            }
            Err(_) => self.wait_again(key, waiters),
        }
    }

    /// The state came into memory by another way. It may leave it again before all were served.
    async fn serve_present(&self, key: Key) -> Option<Key> {
        let (waiters, _room) = self.take_waiters(&key).await;
        let now = self.clock.now();
        let mut unserved = Vec::new();
        for waiter in waiters {
            if !unserved.is_empty() {
                unserved.push(waiter);
                continue;
            }
            match self.cache.access(&key, &waiter.access, &now) {
                Some(outcome) => drop(waiter.answer.send(Ok(outcome))),
                None => unserved.push(waiter),
            }
        }
        self.wait_again(key, unserved)
    }

    /// Takes those who waited longest for `key`, and room in the journal for what they ask for.
    /// Where there is none to be had, those who want changes are told so.
    async fn take_waiters(&self, key: &Key) -> (Vec<Waiter>, Option<Reservation>) {
        let records: usize = {
            let flights = self.flights.lock();
            let waiters = flights.get(key).into_iter().flatten().take(KEYS_PER_HOLD_MAX);
            waiters.map(|waiter| waiter.access.records()).sum()
        };
        let records = records.min(self.durability.records_max());
        let room = self.durability.room(records).await;
        let mut flights = self.flights.lock();
        let Some(waiting) = flights.get_mut(key) else { return (Vec::new(), None) };
        let count = waiters_within(waiting, records);
        let waiters: Vec<Waiter> = waiting.drain(..count).collect();
        if waiting.is_empty() {
            flights.remove(key);
        }
        drop(flights);
        let error = match room {
            Ok(room) => return (waiters, room),
            Err(error) => error,
        };
        let (refused, readers): (Vec<Waiter>, Vec<Waiter>) =
            waiters.into_iter().partition(|waiter| waiter.access.records() > 0);
        for waiter in refused {
            let _ = waiter.answer.send(Err(error.clone()));
        }
        (readers, None)
    }

    /// Puts waiters back; returns the key where anybody waits for it.
    fn wait_again(&self, key: Key, waiters: Vec<Waiter>) -> Option<Key> {
        if !waiters.is_empty() {
            self.flights.lock().entry(key).or_default().extend(waiters);
        }
        self.unserved(key)
    }

    /// The key where anybody waits for it. A flight that was begun meanwhile may serve them too:
    /// one of both then finds nobody.
    fn unserved(&self, key: Key) -> Option<Key> {
        self.flights.lock().contains_key(&key).then_some(key)
    }

    fn give_up(&self, tickets: Vec<Ticket>, error: &Error) {
        for ticket in tickets {
            let key = ticket.key();
            self.cache.abandon_load(ticket);
            self.fail(&key, error);
        }
    }

    fn fail_each(&self, keys: Vec<Key>, error: &Error) {
        for key in keys {
            self.fail(&key, error);
        }
    }

    fn fail(&self, key: &Key, error: &Error) {
        for waiter in self.flights.lock().remove(key).unwrap_or_default() {
            let _ = waiter.answer.send(Err(error.clone()));
        }
    }
}
