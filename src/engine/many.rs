//! Many accesses in one call: hits at once, misses loaded together.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{Concluded, DIRTY_WAIT_MAX, Engine, Error, concluded, load::landed};
use crate::{
    cache::{Access, Done, KEYS_PER_HOLD_MAX, Outcome, Refusal},
    model::{Key, UserId},
};

/// Users whose operations are done one after the other at the same time.
const CONCURRENT_USERS: usize = 64;

/// In which order the accesses of one call are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Those of a user in the order given.
    PerUser,
    /// In any; no key is named twice.
    Any,
}

/// An access that could not be done at once, and its place in the call.
#[derive(Clone, Copy)]
struct Delayed {
    place: usize,
    key: Key,
    access: Access,
}

/// What came of those accesses whose states are in memory.
struct Present {
    outcomes: Vec<Option<Result<Outcome, Error>>>,
    delayed: Vec<Delayed>,
    /// Whose accesses wait, in [`Order::PerUser`].
    waiting: HashSet<UserId>,
    order: Order,
    changed: bool,
}

impl Present {
    fn new(accesses: usize, order: Order) -> Self {
        let outcomes = Vec::with_capacity(accesses);
        Self { outcomes, delayed: Vec::new(), waiting: HashSet::new(), order, changed: false }
    }

    fn is_behind(&self, key: &Key) -> bool {
        !self.waiting.is_empty() && self.waiting.contains(&key.user)
    }

    fn take(&mut self, key: Key, access: Access, outcome: Option<Outcome>) {
        let place = self.outcomes.len();
        match outcome {
            Some(outcome) if outcome != Err(Refusal::DirtyLimit) => {
                self.changed |= outcome.is_ok_and(|done| done.changed);
                self.outcomes.push(Some(Ok(outcome)));
            }
            _ => {
                self.outcomes.push(None);
                self.delayed.push(Delayed { place, key, access });
                if self.order == Order::PerUser {
                    self.waiting.insert(key.user);
                }
            }
        }
    }
}

impl Engine {
    /// Does many accesses; the results are in their order. Each fails alone.
    pub async fn access_many(
        &self,
        accesses: &[(Key, Access)],
        order: Order,
    ) -> Vec<Result<Done, Error>> {
        let (mut outcomes, delayed) = self.access_present(accesses, order).await;
        // One for the whole call: 10,000 items must not each wait in turn.
        let deadline = Instant::now() + DIRTY_WAIT_MAX;
        for (place, outcome) in self.access_delayed(delayed, order, deadline).await {
            outcomes[place] = Some(outcome);
        }
        let missing = || Err(Error::TooManyLoads);
        let keys = accesses.iter().map(|(key, _)| *key);
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing));
        self.all_when_durable(keys.zip(outcomes)).await
    }

    /// Does what is in memory. Behind an access that has to wait, those that are ordered after it
    /// wait too.
    async fn access_present(
        &self,
        accesses: &[(Key, Access)],
        order: Order,
    ) -> (Vec<Option<Result<Outcome, Error>>>, Vec<Delayed>) {
        let mut present = Present::new(accesses.len(), order);
        let per_room = KEYS_PER_HOLD_MAX.min(self.settings.durability.records_max());
        for accesses in accesses.chunks(per_room) {
            if !present.outcomes.is_empty() {
                // Between two holds, others on this runtime get their turn (I1).
                tokio::task::yield_now().await;
            }
            let records = accesses.iter().map(|(_, access)| access.records()).sum();
            match self.settings.durability.room(records).await {
                Ok(_room) => self.access_runs(accesses, &mut present),
                Err(error) => {
                    let refuse = |access: &(Key, Access)| access.1.records() > 0;
                    for run in accesses.chunk_by(|one, next| refuse(one) == refuse(next)) {
                        if refuse(&run[0]) {
                            present.outcomes.extend(run.iter().map(|_| Some(Err(error.clone()))));
                        } else {
                            self.access_runs(run, &mut present);
                        }
                    }
                }
            }
        }
        if present.changed {
            self.nudge_if_pressed();
        }
        (present.outcomes, present.delayed)
    }

    /// Those of one shard in a row under one hold of its lock: all of one user, mostly.
    fn access_runs(&self, mut accesses: &[(Key, Access)], present: &mut Present) {
        let now = self.clock.now();
        while !accesses.is_empty() {
            let run = self.cache.access_run(accesses, &now, |key, attempt| {
                let access = *attempt.access();
                let outcome = if present.is_behind(key) { None } else { attempt.make() };
                present.take(*key, access, outcome);
            });
            accesses = &accesses[run..];
        }
    }

    async fn access_delayed(
        &self,
        delayed: Vec<Delayed>,
        order: Order,
        deadline: Instant,
    ) -> Vec<(usize, Result<Outcome, Error>)> {
        if order == Order::Any {
            return self.load_together(delayed, deadline).await;
        }
        let mut by_user: HashMap<UserId, Vec<Delayed>> = HashMap::new();
        for access in delayed {
            by_user.entry(access.key.user).or_default().push(access);
        }
        let (single, several): (Vec<_>, Vec<_>) =
            by_user.into_values().partition(|accesses| accesses.len() == 1);
        let mut outcomes = self.load_together(single.concat(), deadline).await;
        self.prefetch(several.iter().flatten()).await;
        let chains = several.into_iter().map(|accesses| self.access_in_turn(accesses, deadline));
        let mut chains = stream::iter(chains).buffer_unordered(CONCURRENT_USERS);
        while let Some(chain) = chains.next().await {
            outcomes.extend(chain);
        }
        outcomes
    }

    /// Accesses whose keys may be loaded in any order.
    async fn load_together(
        &self,
        delayed: Vec<Delayed>,
        deadline: Instant,
    ) -> Vec<(usize, Result<Outcome, Error>)> {
        let accesses = delayed.iter().map(|delayed| (delayed.key, delayed.access));
        let loading = self.loader.submit(accesses);
        let mut outcomes = Vec::with_capacity(delayed.len());
        for (delayed, loading) in delayed.into_iter().zip(loading) {
            let mut outcome = landed(loading).await;
            if matches!(outcome, Ok(Err(Refusal::DirtyLimit))) {
                outcome = self.attempt(delayed.key, delayed.access, deadline).await;
            }
            outcomes.push((delayed.place, outcome));
        }
        outcomes
    }

    /// Brings what exists of these keys into memory in few reads, before they are done in turn.
    async fn prefetch(&self, delayed: impl Iterator<Item = &Delayed>) {
        let mut seen = HashSet::new();
        let keys = delayed.map(|delayed| delayed.key).filter(|key| seen.insert(*key));
        for loading in self.loader.submit(keys.map(|key| (key, Access::Read))) {
            // Whatever went wrong shows again, and is answered, when the key is accessed.
            let _ = landed(loading).await;
        }
    }

    async fn access_in_turn(
        &self,
        accesses: Vec<Delayed>,
        deadline: Instant,
    ) -> Vec<(usize, Result<Outcome, Error>)> {
        let mut outcomes = Vec::with_capacity(accesses.len());
        let mut unanswered = None;
        for Delayed { place, key, access } in accesses {
            let outcome = match &unanswered {
                None => self.attempt(key, access, deadline).await,
                // Not again for each of ten thousand: what is in memory is done, the rest is not.
                Some(error) => {
                    let present = self.access(&key, &access).await;
                    present.and_then(|present| present.ok_or_else(|| Error::clone(error)))
                }
            };
            if let Err(error @ (Error::Store(_) | Error::TooManyLoads)) = &outcome {
                unanswered.get_or_insert_with(|| error.clone());
            }
            outcomes.push((place, outcome));
        }
        outcomes
    }

    async fn all_when_durable(
        &self,
        outcomes: impl Iterator<Item = (Key, Result<Outcome, Error>)>,
    ) -> Vec<Result<Done, Error>> {
        let outcomes: Vec<(Key, Result<Concluded<Done>, Error>)> =
            outcomes.map(|(key, outcome)| (key, outcome.map(concluded))).collect();
        let known = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        let secured = match known.filter_map(|concluded| concluded.unflushed).max() {
            Some(record) => self.secured(record).await,
            None => Ok(()),
        };
        let conclude = |(key, outcome): (Key, Result<Concluded<Done>, Error>)| {
            let outcome = outcome?;
            if outcome.unflushed.is_some() {
                self.confirmed(&key, secured.clone())?;
            }
            outcome.result
        };
        outcomes.into_iter().map(|outcome| self.counted(conclude(outcome))).collect()
    }
}
