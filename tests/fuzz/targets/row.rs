//! The target `row` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{row, write_seeds};

fuzz_target!(init: write_seeds(row::seeds), |bytes: &[u8]| row::run(bytes));
