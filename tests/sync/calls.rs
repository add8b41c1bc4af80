//! What callers ask for: every kind of change, drawn so that calls meet on few keys.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use readstates::{
    cache::Access,
    engine::{Done, Engine, Error, Order},
    model::{ChannelId, Guard, Key, Kind, MessageId, Operation, Update, UserId},
};

use crate::plan::Plan;

/// Items that can be undone.
const UNDOS_MAX: usize = 32;
/// Messages that a state sees at once.
const MESSAGES_NEAR: u64 = 12;

/// One call.
#[derive(Clone, Debug)]
pub enum Call {
    /// Of a verb for one state.
    One(Key, Update),
    /// FanOut, Retract, DeleteChannel, Apply, Restore.
    Many(Vec<(Key, Access)>, Order),
    BulkAck(Vec<(Key, MessageId)>),
    DeleteUser(UserId),
}

/// One change that was asked for, and what it came to.
pub type Answer = (Key, Operation, Result<Done, Error>);

/// Where answers arrive. A call that is given up leaves none.
pub type Arrived = Arc<Mutex<Vec<Vec<Answer>>>>;

impl Call {
    pub fn user_deleted(&self) -> bool {
        matches!(self, Self::DeleteUser(_))
    }

    /// Does it; every change with its answer.
    pub async fn make(self, engine: &Engine) -> Vec<Answer> {
        match self {
            Self::One(key, update) => {
                vec![(key, update.operation, engine.update(key, update).await)]
            }
            Self::Many(accesses, order) => {
                let results = engine.access_many(accesses.clone(), order).await;
                let answers = accesses.into_iter().zip(results);
                let answer = |((key, access), result)| match access {
                    Access::Update(update) => Some((key, update.operation, result)),
                    Access::Read => None,
                };
                answers.filter_map(answer).collect()
            }
            Self::BulkAck(acks) => {
                let results = engine.bulk_ack(&acks).await;
                let answer = |((key, message), result)| (key, ack(message), result);
                acks.into_iter().zip(results).map(answer).collect()
            }
            Self::DeleteUser(user) => {
                // Refused where the store is slow: whether it was done shows anyway.
                let _ = engine.delete_user(user).await;
                Vec::new()
            }
        }
    }
}

fn ack(message: MessageId) -> Operation {
    Operation::Ack { message, flags: None, last_viewed_day: None }
}

/// Draws calls.
#[derive(Default)]
pub struct Calls {
    newest: u64,
    undos: VecDeque<(Key, Update)>,
}

impl Calls {
    /// Keeps what would undo an ack, to be drawn later.
    pub fn keep_undo(&mut self, key: Key, done: &Done) {
        let previous = done.previous;
        let operation = Operation::Restore {
            last_acked_id: previous.last_acked_id,
            mention_count: previous.mention_count,
            marked_unread: previous.marked_unread,
        };
        let guard = Guard { version: None, last_acked_id: Some(done.view.last_acked_id) };
        self.undos.push_back((key, Update { operation, guard }));
        if self.undos.len() > UNDOS_MAX {
            self.undos.pop_front();
        }
    }

    pub fn draw(&mut self, random: &mut StdRng, plan: &Plan) -> Call {
        let user = UserId::new(random.random_range(1..=plan.users)).expect("not 0");
        let some = random.random_range(1..=plan.channels.min(8) as usize);
        match random.random_range(0..100) {
            0..60 => {
                let operation = self.operation(random);
                Call::One(key(random, plan, user), operation.into())
            }
            60..70 => {
                let message = self.message(random);
                let operation = match random.random_range(0..4) {
                    0 => Operation::Retract { message },
                    1 => Operation::Delete,
                    _ => Operation::Mention { message, initial_acked_id: Some(1) },
                };
                let Key { channel, .. } = key(random, plan, user);
                let users = (1..=plan.users).map(|id| UserId::new(id).expect("not 0"));
                let access = Access::Update(operation.into());
                Call::Many(
                    users.map(|user| (Key::channel(user, channel), access)).collect(),
                    Order::Any,
                )
            }
            70..80 => {
                let mut access =
                    || (key(random, plan, user), Access::Update(self.operation(random).into()));
                Call::Many((0..some).map(|_| access()).collect(), Order::PerUser)
            }
            80..90 => {
                let all = if random.random_bool(0.1) { plan.channels as usize } else { some };
                let ack = |_| (key(random, plan, user), self.message(random));
                Call::BulkAck((0..all).map(ack).collect())
            }
            90..98 => {
                let undo = |(key, update): (Key, Update)| (key, Access::Update(update));
                let of_user = |(key, _): &(Key, Update)| key.user == user;
                let undos = self.undos.iter().copied().filter(of_user).map(undo);
                Call::Many(undos.take(some).collect(), Order::PerUser)
            }
            _ => Call::DeleteUser(user),
        }
    }

    fn message(&mut self, random: &mut StdRng) -> MessageId {
        self.newest += random.random_range(0..3);
        let near = random.random_range(0..MESSAGES_NEAR);
        MessageId::new((self.newest + 1).saturating_sub(near).max(1)).expect("not 0")
    }

    fn operation(&mut self, random: &mut StdRng) -> Operation {
        let message = self.message(random);
        match random.random_range(0..16) {
            0..5 => {
                Operation::Ack { message, flags: Some(self.newest as u32), last_viewed_day: None }
            }
            5..9 => Operation::Mention { message, initial_acked_id: None },
            9 | 10 => Operation::Increment { count: 1, initial_acked_id: None },
            11 => Operation::Reset,
            12 => {
                let last_acked_id = message.as_u64() - 1;
                let mention_count = [None, Some(2)].choose(random).copied().flatten();
                Operation::MarkUnread { last_acked_id, mention_count }
            }
            13 => Operation::AckPins { pinned_at_ms: self.newest },
            14 => Operation::Retract { message },
            _ => Operation::Delete,
        }
    }
}

fn key(random: &mut StdRng, plan: &Plan, user: UserId) -> Key {
    let channel = ChannelId::new(random.random_range(1..=plan.channels)).expect("not 0");
    let kind = if random.random_bool(0.9) { Kind::Channel } else { Kind::GuildHome };
    Key { user, kind, channel }
}
