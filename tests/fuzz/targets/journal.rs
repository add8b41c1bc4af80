//! The target `journal` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{journal, write_seeds};

fuzz_target!(init: write_seeds(journal::seeds), |bytes: &[u8]| journal::run(bytes));
