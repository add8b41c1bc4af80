//! Keys, drawn as often as a distribution says.

use rand::{Rng as _, rngs::SmallRng};
use rand_distr::{Distribution as _, Zipf};

use super::plan::{Distribution, Plan};

/// Most keys there may be: all of them are exact as floating-point numbers.
pub const KEYS_MAX: u64 = 1 << 40;

/// A prime above [`KEYS_MAX`], near a power of two over the golden ratio. By it ranks are spread
/// over the keys: the most used ones are not those of the first users.
const SPREAD: u128 = 2_850_178_704_830_799_389;

/// The keys of a plan. Users and channels are numbered from 1.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    users: u64,
    channels: u64,
    of_keys: Drawn,
    of_users: Drawn,
}

/// A number below a limit.
#[derive(Clone, Copy, Debug)]
enum Drawn {
    Uniform(u64),
    Zipf(Zipf<f64>, u64),
}

impl Keys {
    /// The keys of `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            users: plan.users,
            channels: plan.channels,
            of_keys: Drawn::below(plan.keys(), plan),
            of_users: Drawn::below(plan.users, plan),
        }
    }

    /// A user and a channel.
    pub fn key(&self, random: &mut SmallRng) -> (u64, u64) {
        self.at(self.of_keys.draw(random))
    }

    /// A user.
    pub fn user(&self, random: &mut SmallRng) -> u64 {
        self.of_users.draw(random) + 1
    }

    /// The user `steps` after this one; after the last comes the first.
    pub fn user_after(&self, user: u64, steps: u64) -> u64 {
        (user - 1 + steps) % self.users + 1
    }

    /// The key in this place, of all keys in order of user and channel.
    pub fn at(&self, place: u64) -> (u64, u64) {
        (place / self.channels + 1, place % self.channels + 1)
    }
}

impl Drawn {
    fn below(limit: u64, plan: &Plan) -> Self {
        match plan.distribution {
            Distribution::Uniform => Self::Uniform(limit),
            Distribution::Zipf => match Zipf::new(limit as f64, plan.skew) {
                Ok(zipf) => Self::Zipf(zipf, limit),
                // Flags are checked before: there is a key, and no skew is negative.
                Err(_) => Self::Uniform(limit),
            },
        }
    }

    fn draw(&self, random: &mut SmallRng) -> u64 {
        match self {
            Self::Uniform(limit) => random.random_range(0..*limit),
            Self::Zipf(zipf, limit) => spread(zipf.sample(random) as u64, *limit),
        }
    }
}

/// One place below `limit` for each rank from 1 to `limit`.
fn spread(rank: u64, limit: u64) -> u64 {
    (u128::from(rank) * SPREAD % u128::from(limit)) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::SeedableRng as _;

    use super::{super::plan::Mix, *};

    fn drawn(distribution: Distribution, draws: usize) -> BTreeMap<(u64, u64), usize> {
        let plan = Plan { users: 50, channels: 20, distribution, ..Plan::small(Mix::Ack) };
        let (keys, mut random) = (Keys::new(&plan), SmallRng::seed_from_u64(7));
        let mut counts = BTreeMap::new();
        for _ in 0..draws {
            *counts.entry(keys.key(&mut random)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_rank_has_a_place_of_its_own() {
        for limit in [1, 2, 7, 1_000, 1 << 12] {
            let places: BTreeSet<_> = (1..=limit).map(|rank| spread(rank, limit)).collect();
            assert_eq!((places.len() as u64, places.last()), (limit, Some(&(limit - 1))));
        }
    }

    #[test]
    fn uniform_draws_all_keys_alike() {
        let counts = drawn(Distribution::Uniform, 100_000);
        assert_eq!(counts.len(), 1_000);
        assert!(counts.keys().all(|(user, channel)| *user <= 50 && *channel <= 20));
        // 100 each: the deviation is 10, and no key is six of those away.
        assert!(counts.values().all(|count| (40..160).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_draws_ranks_as_its_skew_says() {
        let counts = drawn(Distribution::Zipf, 100_000);
        let mut by_rank: Vec<_> = counts.values().copied().collect();
        by_rank.sort_unstable_by(|a, b| b.cmp(a));
        let weight = |rank: f64| rank.powf(-1.05);
        let all: f64 = (1..=1_000).map(|rank| weight(f64::from(rank))).sum();
        for (place, rank) in [(0, 1.0), (1, 2.0), (9, 10.0)] {
            let expected = 100_000.0 * weight(rank) / all;
            let found = by_rank[place] as f64;
            assert!((found / expected - 1.0).abs() < 0.1, "{rank}: {found} for {expected}");
        }
    }

    #[test]
    fn places_go_by_user_and_channel() {
        let keys = Keys::new(&Plan::small(Mix::Ack));
        assert_eq!([0, 4, 5, 49].map(|place| keys.at(place)), [(1, 1), (1, 5), (2, 1), (10, 5)]);
        assert_eq!((keys.user_after(9, 1), keys.user_after(9, 2)), (10, 1));
    }
}
