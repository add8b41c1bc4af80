//! The target `page_token` for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use readstates_fuzz::{page_token, write_seeds};

fuzz_target!(init: write_seeds(page_token::seeds), |bytes: &[u8]| page_token::run(bytes));
