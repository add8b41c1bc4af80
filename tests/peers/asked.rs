//! What is asked of both sides, drawn at random: valid and wrong, new and late.

use rand::{Rng as _, rngs::StdRng};
use readstates::proto::{
    AckRequest, IncrementRequest, Operation, ResetRequest, operation::Operation as Kind,
};

/// User, channel and type.
pub type Key = (u64, u64, i32);

/// The version that a caller expects.
#[derive(Clone, Copy, Debug)]
pub enum Guard {
    None,
    /// The one that the side last told.
    Current,
    /// Of a state that must not exist.
    Absent,
    /// One that no state has.
    Wrong,
}

/// One operation on one state.
#[derive(Clone, Debug)]
pub enum Act {
    Ack { message: u64, flags: Option<u32>, day: Option<u32>, guard: Guard },
    Increment { message: u64, count: u32, initial: Option<u64> },
    Reset { guard: Guard },
}

/// One call.
#[derive(Clone, Debug)]
pub enum Asked {
    Get(Key),
    Act(Key, Act),
    FanOut { channel: u64, message: u64, users: Vec<u64>, initial: Option<u64> },
    Apply(Vec<(Key, Act)>),
    Stream(Vec<Vec<(Key, Act)>>),
}

const USERS: u64 = 10;
const CHANNELS: u64 = 12;
/// Mentions reach so far ahead of what is acked at most that ledgers come to be full.
const MENTIONS_AHEAD: u64 = 400;
const ACKS_AHEAD: u64 = 100;
/// After so many calls everybody is a message further.
const CALLS_PER_MESSAGE: usize = 10;

/// Every key that may exist.
pub fn keys() -> impl Iterator<Item = Key> {
    (1..=USERS).flat_map(|user| {
        (1..=CHANNELS).flat_map(move |channel| (1..=6).map(move |kind| (user, channel, kind)))
    })
}

fn key(random: &mut StdRng) -> Key {
    let kind = if random.random_bool(0.9) { random.random_range(0..=1) } else { 3 };
    let wrong = random.random_bool(0.01);
    // Half of all meet in one state, whose ledger comes to fold.
    if random.random_bool(0.5) {
        return (1, 1, if wrong { 9 } else { 1 });
    }
    let lowest = u64::from(!wrong);
    (random.random_range(lowest..=USERS), random.random_range(lowest..=CHANNELS), kind)
}

fn rarely<T>(random: &mut StdRng, draw: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    random.random_bool(0.1).then(|| draw(random))
}

fn guard(random: &mut StdRng) -> Guard {
    match random.random_range(0..20) {
        0 => Guard::Current,
        1 => Guard::Absent,
        2 => Guard::Wrong,
        _ => Guard::None,
    }
}

fn act(random: &mut StdRng, now: u64) -> Act {
    match random.random_range(0..20) {
        0..=3 => Act::Ack {
            message: random.random_range(now.saturating_sub(50)..=now + ACKS_AHEAD),
            flags: rarely(random, |random| random.random_range(0..=9)),
            day: rarely(random, |random| random.random_range(0..=4_000)),
            guard: guard(random),
        },
        4..=17 => Act::Increment {
            message: random.random_range(now + 1..=now + MENTIONS_AHEAD),
            count: rarely(random, |random| random.random_range(0..=2)).unwrap_or(0),
            initial: rarely(random, |random| random.random_range(0..=now + ACKS_AHEAD)),
        },
        18 => Act::Increment {
            message: 0,
            count: rarely(random, |_| u32::MAX).unwrap_or(2),
            initial: None,
        },
        _ => Act::Reset { guard: guard(random) },
    }
}

fn acts(random: &mut StdRng, now: u64) -> Vec<(Key, Act)> {
    (0..random.random_range(0..20)).map(|_| (key(random), act(random, now))).collect()
}

/// Call number `number`.
pub fn draw(random: &mut StdRng, number: usize) -> Asked {
    let now = (number / CALLS_PER_MESSAGE) as u64;
    match random.random_range(0..20) {
        0..=2 => Asked::Get(key(random)),
        3 => Asked::FanOut {
            channel: random.random_range(1..=CHANNELS),
            message: random.random_range(now..=now + MENTIONS_AHEAD),
            users: (0..random.random_range(0..8)).map(|_| random.random_range(1..=USERS)).collect(),
            initial: rarely(random, |random| random.random_range(0..=now + ACKS_AHEAD)),
        },
        4 => Asked::Apply(acts(random, now)),
        5 => Asked::Stream((0..random.random_range(0..4)).map(|_| acts(random, now)).collect()),
        _ => Asked::Act(key(random), act(random, now)),
    }
}

/// The operation on the wire. `current` is the version that the side last told of this state.
pub fn operation((user_id, channel_id, kind): Key, act: &Act, current: u64) -> Operation {
    let expected = |guard: &Guard| match guard {
        Guard::None => None,
        Guard::Current => Some(current),
        Guard::Absent => Some(0),
        Guard::Wrong => Some(77),
    };
    let kind = match act {
        Act::Ack { message, flags, day, guard } => Kind::Ack(AckRequest {
            user_id,
            channel_id,
            message_id: *message,
            flags: *flags,
            last_viewed_day: *day,
            expected_version: expected(guard),
            r#type: kind,
        }),
        Act::Increment { message, count, initial } => Kind::Increment(IncrementRequest {
            user_id,
            channel_id,
            message_id: *message,
            count: *count,
            initial_acked_id: *initial,
            r#type: kind,
        }),
        Act::Reset { guard } => Kind::Reset(ResetRequest {
            user_id,
            channel_id,
            expected_version: expected(guard),
            r#type: kind,
        }),
    };
    Operation { operation: Some(kind) }
}
