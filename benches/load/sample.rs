//! Keys of a cache by number, and which of them come.

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use readstates::model::{ChannelId, Key, Kind, UserId};

const CHANNELS_PER_USER: u64 = 50;

pub fn key(number: u64) -> Key {
    let user = UserId::new(1 + number / CHANNELS_PER_USER).expect("not 0");
    let channel = ChannelId::new((1 << 60) + number).expect("not 0");
    Key { user, kind: Kind::Channel, channel }
}

/// So many numbers below `keys`, each as likely as any other.
pub fn uniform(keys: u64, draws: usize, seed: u64) -> Vec<u64> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..draws).map(|_| random.random_range(0..keys)).collect()
}
