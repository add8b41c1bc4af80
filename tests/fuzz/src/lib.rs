//! Six targets for libFuzzer: functions over bytes that must hold for any bytes at all.
//!
//! | target | bytes are | what must hold |
//! |---|---|---|
//! | [`journal`] | a script that writes and damages files | it is read, told, repaired, begun |
//! | [`row`] | a row of the store | what is read is what would be written |
//! | [`page_token`] | a token and a query | a token has one spelling, for one query |
//! | [`message`] | a message of the contract | refused for a reason that is one, or done |
//! | [`wire`] | what a connection sends | it ends, and others are answered |
//! | [`calls`] | calls on few users and channels | plain sets of ids answer the same |
//!
//! Each has seeds, made by code: with `READSTATES_FUZZ_SEEDS=folder` in its environment a target
//! writes them there and ends. `.ci/fuzz` runs them all.

pub mod calls;
pub mod draw;
pub mod ground;
pub mod http2;
pub mod journal;
pub mod message;
#[path = "../../scenarios/naive.rs"]
pub mod naive;
pub mod page_token;
pub mod row;
pub mod script;
pub mod wire;

use std::{env, fs, path::PathBuf, process};

/// Writes what `seeds` gives and ends, where the environment says so.
///
/// # Panics
/// Where it cannot be written.
pub fn write_seeds(seeds: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = env::var_os("READSTATES_FUZZ_SEEDS").map(PathBuf::from) else { return };
    fs::create_dir_all(&folder).expect("the folder can be made");
    for (number, seed) in seeds().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
    }
    process::exit(0);
}
