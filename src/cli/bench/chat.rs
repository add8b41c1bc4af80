//! What a real chat asks for, in figures: the mix `chat` draws by them.
//!
//! They were counted in nine years (2015 to 2024) of public logs of three communities (Raku's
//! IRC, freeCodeCamp's Gitter, Lean's Zulip): 2,680,618 messages of 12,271 authors in 36,148
//! channels. Of these the 145,655 of freeCodeCamp are in `tests/data`. A message is an ack by its
//! author, up to itself, and a mention of those it names.
//!
//! - 370,455 messages (13.8 %) mention somebody: 363,537 of them one user, 5,707 two, 825 three,
//!   386 more, 5.7 in the mean, 23 at most; 379,621 mentions in all. So of the calls, an `Ack` for
//!   each message and a `FanOut` for each that mentions, 12.1 % are `FanOut`; of single operations
//!   12.4 % are increments.
//! - The acks fall on 155,220 keys like Zipf 1.05 (fit of highest likelihood: 1.045), the mentions
//!   on 38,762 keys with 1.03: one skew serves both.
//! - One ack in nine (10.9 %) finds mentions to clear.
//!
//! Not in these logs, and so not in the mix: reading without writing, which real clients ack too.

use rand::{Rng as _, rngs::SmallRng};

/// Messages, each of which its author acks.
const MESSAGES: u64 = 2_680_618;
/// Messages that mention one user, two, three, or more.
const MENTIONING: [u64; 4] = [363_537, 5_707, 825, 386];
/// How many users those mention; of the last ones, in the mean.
const MENTIONED: [usize; 4] = [1, 2, 3, 6];
/// Mentions in all.
const MENTIONS: u64 = 379_621;
/// The skew of keys.
pub const SKEW: f64 = 1.05;

/// One call of the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Of the author of a message.
    Ack,
    /// Of so many users.
    FanOut(usize),
}

/// Draws the next call.
pub fn call(random: &mut SmallRng) -> Call {
    let mut drawn = random.random_range(0..MESSAGES + MENTIONING.iter().sum::<u64>());
    for (messages, mentioned) in MENTIONING.into_iter().zip(MENTIONED) {
        if drawn < messages {
            return Call::FanOut(mentioned);
        }
        drawn -= messages;
    }
    Call::Ack
}

/// Whether the next single operation is a mention; otherwise it is an ack.
pub fn is_mention(random: &mut SmallRng) -> bool {
    random.random_range(0..MESSAGES + MENTIONS) < MENTIONS
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const DRAWS: usize = 200_000;

    #[test]
    fn calls_come_in_the_shares_of_the_logs() {
        let mut random = SmallRng::seed_from_u64(3);
        let calls: Vec<_> = (0..DRAWS).map(|_| call(&mut random)).collect();
        let share = |wanted: &dyn Fn(&Call) -> bool| {
            calls.iter().filter(|call| wanted(call)).count() as f64 / DRAWS as f64
        };
        let fan_outs = share(&|call| *call != Call::Ack);
        assert!((fan_outs - 0.1214).abs() < 0.004, "{fan_outs}");
        let of_two = share(&|call| *call == Call::FanOut(2));
        assert!((of_two - 0.00187).abs() < 0.0005, "{of_two}");
        assert!(share(&|call| *call == Call::FanOut(6)) > 0.0);
    }

    #[test]
    fn single_operations_do_too() {
        let mut random = SmallRng::seed_from_u64(4);
        let mentions = (0..DRAWS).filter(|_| is_mention(&mut random)).count();
        assert!((mentions as f64 / DRAWS as f64 - 0.124).abs() < 0.004, "{mentions}");
    }
}
