//! The target `message` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{message, write_seeds};

fuzz_target!(init: write_seeds(message::seeds), |bytes: &[u8]| message::run(bytes));
