//! What all proofs share: what is proven, how long, and from which seed.

use std::env;

/// What an acknowledgement is to mean in these tests, as `--durability` names it.
pub const DURABILITY: &str = "journal";

/// Chosen for a release: every proof runs in its long form.
const LONG: &str = "READSTATES_TEST_LONG";
const SEED: &str = "READSTATES_TEST_SEED";

/// Whether the long forms are asked for.
pub fn is_long() -> bool {
    env::var_os(LONG).is_some_and(|value| value == "1")
}

/// `short`, or `long` where the long forms are asked for.
pub fn either<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// The seed given, or a new one; printed either way.
pub fn seed() -> u64 {
    let given = env::var(SEED).ok().map(|text| text.parse().expect("a seed is a number"));
    let seed = given.unwrap_or_else(|| rand::random::<u32>().into());
    println!("{SEED}={seed}");
    seed
}
