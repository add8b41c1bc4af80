//! Cache and journal under a scheduler that decides at every lock, atomic and condition which
//! thread goes on: 10,000 random schedules a test. Run it with
//! `cargo test --features shuttle --test shuttle`.
//!
//! A failure prints its schedule; `READSTATES_TEST_SCHEDULE` with that, and the name of the test,
//! runs it again. Time stands still, so whoever is not woken is a deadlock, and told as one.

mod allowance;
mod both;
mod group_commit;
mod journal;
mod shard;

use std::env;

use shuttle::{
    Config, Runner,
    scheduler::{RandomScheduler, ReplayScheduler},
};

const SCHEDULES: usize = 10_000;
/// A thread's stack; the default is too small for what a journal holds.
const STACK_BYTES: usize = 256 << 10;

/// Runs `test` under many schedules, or under the one that is asked for.
pub fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    match env::var("READSTATES_TEST_SCHEDULE") {
        Ok(schedule) => Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(test),
        Err(_) => Runner::new(RandomScheduler::new(SCHEDULES), config).run(test),
    };
}
