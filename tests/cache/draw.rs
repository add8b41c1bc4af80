//! Draws keys, operations and guards at random, dense enough that they meet.

use rand::{Rng, rngs::StdRng};
use readstates::{
    cache::Access,
    model::{ChannelId, Guard, Key, Kind, Operation, Update, UserId, Version, View},
};

use crate::scene::{message, user};

const USERS: u64 = 4;
const CHANNELS: u64 = 5;
const MESSAGES: u64 = 400;

pub fn draw_user(rng: &mut StdRng) -> UserId {
    user(rng.random_range(1..=USERS))
}

pub fn draw_key(rng: &mut StdRng) -> Key {
    let kind = if rng.random_bool(0.8) { Kind::Channel } else { Kind::GuildHome };
    let channel = ChannelId::new(rng.random_range(1..=CHANNELS)).expect("not 0");
    Key { user: draw_user(rng), kind, channel }
}

/// A read, or an update, perhaps under a guard that matches `current` or nearly does.
pub fn draw_access(rng: &mut StdRng, current: &View) -> Access {
    if rng.random_bool(0.3) {
        return Access::Read;
    }
    let guard = if rng.random_bool(0.2) { draw_guard(rng, current) } else { Guard::default() };
    Access::Update(Update { operation: draw_operation(rng), guard })
}

fn draw_guard(rng: &mut StdRng, current: &View) -> Guard {
    let version = match rng.random_range(0..4) {
        0 => None,
        1 => Some(Version::ZERO),
        2 => Some(current.version.next()),
        _ => Some(current.version),
    };
    let watermark = rng.random_bool(0.3).then(|| current.last_acked_id + rng.random_range(0..2));
    Guard { version, last_acked_id: watermark }
}

fn draw_operation(rng: &mut StdRng) -> Operation {
    let id = rng.random_range(1..=MESSAGES);
    let maybe = |rng: &mut StdRng, below| rng.random_bool(0.2).then(|| rng.random_range(0..below));
    match rng.random_range(0..16) {
        0..=2 => Operation::Ack {
            message: message(id),
            flags: maybe(rng, 12),
            last_viewed_day: maybe(rng, 20_000_000),
        },
        3..=8 => Operation::Mention {
            message: message(id),
            initial_acked_id: maybe(rng, 50).map(u64::from),
        },
        9 => Operation::Increment { count: 1, initial_acked_id: maybe(rng, 50).map(u64::from) },
        10 => Operation::Reset,
        11 => Operation::MarkUnread { last_acked_id: id - 1, mention_count: maybe(rng, 9) },
        12 => Operation::AckPins { pinned_at_ms: id },
        13 => Operation::Retract { message: message(id) },
        14 => Operation::Restore {
            last_acked_id: id - 1,
            mention_count: id as u32 % 5,
            marked_unread: id % 2 == 0,
        },
        _ => Operation::Delete,
    }
}
