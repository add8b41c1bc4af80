//! What callers ask for, drawn so that they meet: few keys, near messages, retries of old calls.

use std::collections::VecDeque;

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    cache::Access,
    model::{ChannelId, Guard, Key, Kind, MessageId, Operation, Update, UserId, Version, View},
};

use crate::plan::Plan;

/// Mentions that may be sent again, as one does who got no answer.
const RETRIES_MAX: usize = 64;
/// Messages that a state sees at once.
const MESSAGES_NEAR: u64 = 100;
/// Ids are times, far apart: that makes rows long.
const MESSAGES_APART: u64 = 1 << 34;

#[derive(Clone, Copy, Debug)]
pub enum Wish {
    Access(Key, Access),
    DeleteUser(UserId),
    List(UserId),
}

/// Draws wishes.
#[derive(Default)]
pub struct Wishes {
    sent: VecDeque<(Key, Operation)>,
    newest: u64,
}

impl Wishes {
    pub fn draw(
        &mut self,
        random: &mut StdRng,
        plan: &Plan,
        current: impl Fn(&Key) -> View,
    ) -> Wish {
        let user = UserId::new(random.random_range(1..=plan.users)).expect("not 0");
        let channel = ChannelId::new(random.random_range(1..=plan.channels)).expect("not 0");
        let kind = if random.random_bool(0.8) { Kind::Channel } else { Kind::GuildHome };
        let key = Key { user, kind, channel };
        match random.random_range(0..100) {
            0..2 => Wish::DeleteUser(user),
            2..6 => Wish::List(user),
            6..28 => Wish::Access(key, Access::Read),
            28..40 if !self.sent.is_empty() => {
                let (key, operation) = self.sent[random.random_range(0..self.sent.len())];
                Wish::Access(key, Access::Update(operation.into()))
            }
            _ => {
                let operation = self.operation(random, plan, key);
                let guard = guard(random, &current(&key));
                Wish::Access(key, Access::Update(Update { operation, guard }))
            }
        }
    }

    fn operation(&mut self, random: &mut StdRng, plan: &Plan, key: Key) -> Operation {
        self.newest += random.random_range(0..3);
        let near = (self.newest + 1).saturating_sub(random.random_range(0..MESSAGES_NEAR)).max(1);
        let message = MessageId::new(near * MESSAGES_APART).expect("not 0");
        if random.random_range(0..32) < plan.mentions {
            return self.sent(key, Operation::Mention { message, initial_acked_id: None });
        }
        let last_acked_id = (near - 1) * MESSAGES_APART;
        match random.random_range(0..14) {
            0..6 => {
                let last_viewed_day = Some(near as u32);
                self.sent(key, Operation::Ack { message, flags: None, last_viewed_day })
            }
            6..8 => Operation::Increment { count: 1, initial_acked_id: None },
            8 => Operation::Reset,
            9..11 => Operation::MarkUnread { last_acked_id, mention_count: None },
            11 => Operation::Retract { message },
            12 => Operation::AckPins { pinned_at_ms: near },
            _ => Operation::Delete,
        }
    }

    fn sent(&mut self, key: Key, operation: Operation) -> Operation {
        self.sent.push_back((key, operation));
        if self.sent.len() > RETRIES_MAX {
            self.sent.pop_front();
        }
        operation
    }
}

fn guard(random: &mut StdRng, current: &View) -> Guard {
    if random.random_bool(0.85) {
        return Guard::default();
    }
    let version = match random.random_range(0..3) {
        0 => current.version,
        1 => Version::ZERO,
        _ => current.version.next(),
    };
    Guard { version: Some(version), last_acked_id: None }
}
