//! The target `wire` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{wire, write_seeds};

fuzz_target!(init: write_seeds(wire::seeds), |bytes: &[u8]| wire::run(bytes));
