//! Many accesses in one call: hits at once, misses loaded together.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, stream};
use tokio::{task::coop::consume_budget, time::Instant};

use super::{DIRTY_WAIT_MAX, Engine, Error, concluded, leave_turn, load::landed, unflushed};
use crate::{
    cache::{Access, Done, Outcome, Refusal, Turn},
    model::{Key, Sequence, UserId},
};

/// Users whose operations are done one after the other at the same time.
const CONCURRENT_USERS: usize = 64;

/// Accesses between which others on this runtime get their turn (I1): a tenth of a millisecond or
/// two.
pub const ACCESSES_PER_TURN: usize = 128;

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
        let mut outcomes = Vec::new();
        outcomes.resize_with(accesses, || None);
        Self { outcomes, delayed: Vec::new(), waiting: HashSet::new(), order, changed: false }
    }

    fn is_behind(&self, key: &Key) -> bool {
        !self.waiting.is_empty() && self.waiting.contains(&key.user)
    }

    fn take(&mut self, place: usize, (key, access): (Key, Access), outcome: Option<Outcome>) {
        match outcome {
            Some(outcome) if outcome != Err(Refusal::DirtyLimit) => {
                self.changed |= outcome.is_ok_and(|done| done.changed);
                self.outcomes[place] = Some(Ok(outcome));
            }
            _ => {
                self.delayed.push(Delayed { place, key, access });
                if self.order == Order::PerUser {
                    self.waiting.insert(key.user);
                }
            }
        }
    }
}

/// What many accesses came to. It may be shown once a crash cannot take it back.
pub struct Made {
    accesses: Vec<(Key, Access)>,
    outcomes: Vec<Option<Result<Outcome, Error>>>,
}

impl Made {
    /// The newest record that any of it was derived from, where the store does not have that.
    fn unflushed(&self) -> Option<Sequence> {
        let known = self.outcomes.iter().flatten().flatten();
        known.filter_map(unflushed).max()
    }
}

impl Engine {
    /// Does many accesses; the results are in their order. Each fails alone.
    pub async fn access_many(
        &self,
        accesses: Vec<(Key, Access)>,
        order: Order,
    ) -> Vec<Result<Done, Error>> {
        let made = self.make_many(accesses, order).await;
        self.show_many(made).await.map(|(_, result)| result).collect()
    }

    /// The first half of [`Self::access_many`]: whatever begins behind it finds it done.
    pub async fn make_many(&self, accesses: Vec<(Key, Access)>, order: Order) -> Made {
        let (mut outcomes, delayed) = self.access_present(&accesses, order).await;
        if !delayed.is_empty() {
            // One for the whole call: 10,000 items must not each wait in turn.
            let deadline = Instant::now() + DIRTY_WAIT_MAX;
            for (place, outcome) in self.access_delayed(delayed, order, deadline).await {
                outcomes[place] = Some(outcome);
            }
        }
        Made { accesses, outcomes }
    }

    /// The second half: each key and its result, once a crash cannot take them back.
    pub async fn show_many(&self, made: Made) -> impl Iterator<Item = (Key, Result<Done, Error>)> {
        let secured = match made.unflushed() {
            Some(record) => self.secured(record).await,
            None => Ok(()),
        };
        if made.outcomes.len() > ACCESSES_PER_TURN {
            leave_turn().await;
        }
        let outcomes = made.accesses.into_iter().zip(made.outcomes);
        outcomes.map(move |((key, _), outcome)| {
            let outcome = outcome.unwrap_or(Err(Error::TooManyLoads));
            let result = outcome.and_then(|outcome| {
                if secured.is_err() && unflushed(&outcome).is_some() {
                    self.confirmed(&key, secured.clone())?;
                }
                concluded(outcome).result
            });
            (key, self.counted(result))
        })
    }

    /// Does what is in memory. Behind an access that has to wait, those that are ordered after it
    /// wait too.
    async fn access_present(
        &self,
        accesses: &[(Key, Access)],
        order: Order,
    ) -> (Vec<Option<Result<Outcome, Error>>>, Vec<Delayed>) {
        let mut present = Present::new(accesses.len(), order);
        let turns = self.cache.turns(accesses);
        let per_room = ACCESSES_PER_TURN.min(self.settings.durability.records_max());
        for turns in turns.chunks(per_room) {
            if accesses.len() > per_room {
                leave_turn().await;
            }
            let records = |turn: &Turn| accesses[turn.place()].1.records();
            match self.settings.durability.room(turns.iter().map(records).sum()).await {
                Ok(_room) => self.access_turns(accesses, turns, &mut present),
                Err(error) => {
                    let (refused, reads): (Vec<Turn>, Vec<Turn>) =
                        turns.iter().partition(|turn| records(turn) > 0);
                    for turn in refused {
                        present.outcomes[turn.place()] = Some(Err(error.clone()));
                    }
                    self.access_turns(accesses, &reads, &mut present);
                }
            }
        }
        if present.changed {
            self.nudge_if_pressed();
        }
        (present.outcomes, present.delayed)
    }

    fn access_turns(&self, accesses: &[(Key, Access)], turns: &[Turn], present: &mut Present) {
        let now = self.clock.now();
        let mut turns = turns;
        while !turns.is_empty() {
            let run = self.cache.access_turns(accesses, turns, &now, |place, attempt| {
                let (key, access) = accesses[place];
                let outcome = if present.is_behind(&key) { None } else { attempt.make() };
                present.take(place, (key, access), outcome);
            });
            turns = &turns[run..];
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
        let accesses: Vec<_> =
            delayed.iter().map(|delayed| (delayed.key, delayed.access)).collect();
        let loading = self.loader.submit(&accesses).await;
        let mut outcomes = Vec::with_capacity(delayed.len());
        for (delayed, loading) in delayed.into_iter().zip(loading) {
            let mut outcome = landed(loading).await;
            if matches!(outcome, Ok(Err(Refusal::DirtyLimit))) {
                outcome = self.attempt(delayed.key, delayed.access, Some(deadline)).await;
            }
            outcomes.push((delayed.place, outcome));
        }
        outcomes
    }

    /// Brings what exists of these keys into memory in few reads, before they are done in turn.
    async fn prefetch(&self, delayed: impl Iterator<Item = &Delayed>) {
        let mut seen = HashSet::new();
        let keys = delayed.map(|delayed| delayed.key).filter(|key| seen.insert(*key));
        let reads: Vec<_> = keys.map(|key| (key, Access::Read)).collect();
        for loading in self.loader.submit(&reads).await {
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
            // All may be in memory by now: others on this runtime get their turn all the same.
            consume_budget().await;
            let outcome = match &unanswered {
                None => self.attempt(key, access, Some(deadline)).await,
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
}
