//! The next call, or the next operation of a batch, as the mix and the keys have it.

use std::{rc::Rc, time::Instant};

use rand::{SeedableRng as _, rngs::SmallRng};

use super::{
    chat::{self, Call},
    ids::Ids,
    keys::Keys,
    plan::{Mix, Plan},
};
use crate::proto::{
    AckRequest, FanOutRequest, IncrementRequest, Operation, operation::Operation as Kind,
};

/// A call that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Card {
    /// Of one key.
    Ack(AckRequest),
    /// Of one key.
    Increment(IncrementRequest),
    /// Of many users.
    FanOut(FanOutRequest),
    /// All states of a user.
    SignIn(u64),
    /// Of nothing.
    Health,
}

/// What one caller draws from. It draws the same keys again from the same seed.
#[derive(Debug)]
pub struct Deck {
    mix: Mix,
    members: u64,
    keys: Keys,
    random: SmallRng,
    ids: Rc<Ids>,
}

impl Deck {
    /// The deck of caller number `caller`, of all callers of all threads.
    pub fn new(plan: &Plan, caller: usize, ids: Rc<Ids>) -> Self {
        Self {
            mix: plan.mix,
            members: plan.members,
            keys: Keys::new(plan),
            // Callers next to each other must not draw alike; the seed is mixed well within.
            random: SmallRng::seed_from_u64(plan.seed.wrapping_add((caller as u64) << 32)),
            ids,
        }
    }

    /// The next call.
    pub fn card(&mut self, now: Instant) -> Card {
        match self.mix {
            Mix::Ack => Card::Ack(self.ack(now)),
            Mix::Increment => Card::Increment(self.increment(now)),
            Mix::Signin => Card::SignIn(self.keys.user(&mut self.random)),
            Mix::Fanout => Card::FanOut(self.fan_out(self.members, now)),
            Mix::Health => Card::Health,
            Mix::Chat => match chat::call(&mut self.random) {
                Call::Ack => Card::Ack(self.ack(now)),
                Call::FanOut(users) => Card::FanOut(self.fan_out(users as u64, now)),
            },
        }
    }

    /// The next operations of a batch. Only mixes of acks and increments have them.
    pub fn operations(&mut self, count: usize, now: Instant) -> Vec<Operation> {
        (0..count).map(|_| Operation { operation: Some(self.operation(now)) }).collect()
    }

    fn operation(&mut self, now: Instant) -> Kind {
        let mention = match self.mix {
            Mix::Chat => chat::is_mention(&mut self.random),
            mix => mix == Mix::Increment,
        };
        if mention { Kind::Increment(self.increment(now)) } else { Kind::Ack(self.ack(now)) }
    }

    fn ack(&mut self, now: Instant) -> AckRequest {
        let (user_id, channel_id) = self.keys.key(&mut self.random);
        AckRequest { user_id, channel_id, message_id: self.ids.next(now), ..AckRequest::default() }
    }

    fn increment(&mut self, now: Instant) -> IncrementRequest {
        let (user_id, channel_id) = self.keys.key(&mut self.random);
        let message_id = self.ids.next(now);
        IncrementRequest { user_id, channel_id, message_id, ..IncrementRequest::default() }
    }

    /// Of users one after another, from one that is drawn.
    fn fan_out(&mut self, users: u64, now: Instant) -> FanOutRequest {
        let (first, channel_id) = self.keys.key(&mut self.random);
        let user_ids = (0..users).map(|step| self.keys.user_after(first, step)).collect();
        let message_id = self.ids.next(now);
        FanOutRequest { channel_id, message_id, user_ids, initial_acked_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deck(mix: Mix, caller: usize) -> Deck {
        Deck::new(&Plan::small(mix), caller, Rc::new(Ids::new(0)))
    }

    fn keys(deck: &mut Deck) -> Vec<(u64, u64)> {
        let cards = (0..50).map(|_| deck.card(Instant::now()));
        cards
            .map(|card| match card {
                Card::Ack(ack) => (ack.user_id, ack.channel_id),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_seed_draws_the_same_keys_again_and_each_caller_its_own() {
        let drawn = keys(&mut deck(Mix::Ack, 0));
        assert_eq!(drawn, keys(&mut deck(Mix::Ack, 0)));
        assert_ne!(drawn, keys(&mut deck(Mix::Ack, 1)));
    }

    #[test]
    fn a_fan_out_is_to_as_many_users_as_asked_for() {
        let Card::FanOut(fan_out) = deck(Mix::Fanout, 0).card(Instant::now()) else { panic!() };
        let mut users = fan_out.user_ids;
        users.sort_unstable();
        users.dedup();
        assert_eq!(users.len(), 3);
        assert!(users.iter().all(|user| (1..=10).contains(user)), "{users:?}");
    }

    #[test]
    fn a_chat_has_both_in_calls_and_in_batches() {
        let mut deck = deck(Mix::Chat, 0);
        let cards: Vec<_> = (0..1_000).map(|_| deck.card(Instant::now())).collect();
        assert!(cards.iter().any(|card| matches!(card, Card::Ack(_))));
        assert!(cards.iter().any(|card| matches!(card, Card::FanOut(_))));
        let operations = deck.operations(1_000, Instant::now());
        let increments =
            operations.iter().filter(|one| matches!(one.operation, Some(Kind::Increment(_))));
        assert!((50..250).contains(&increments.count()));
        assert_eq!(operations.len(), 1_000);
    }

    #[test]
    fn every_ack_goes_beyond_the_one_before() {
        let mut deck = deck(Mix::Ack, 0);
        let message = |card| match card {
            Card::Ack(ack) => ack.message_id,
            other => panic!("{other:?}"),
        };
        let ids: Vec<_> = (0..1_000).map(|_| message(deck.card(Instant::now()))).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
