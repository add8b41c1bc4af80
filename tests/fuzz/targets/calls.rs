//! The target `calls` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{calls, write_seeds};

fuzz_target!(init: write_seeds(calls::seeds), |bytes: &[u8]| calls::run(bytes));
