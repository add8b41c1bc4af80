//! Tests that take minutes: they run where somebody asks for them, and say so where nobody does.

use std::{env, io::Write as _};

const LONG: &str = "READSTATES_TEST_LONG";

/// Whether `test` is to run. Where it is not it says so, past the capture of test output; that is
/// no failure under CI either, which has not the time.
pub fn is_long(test: &str) -> bool {
    let long = env::var_os(LONG).is_some();
    if !long {
        writeln!(std::io::stderr(), "SKIPPED: {test}: it takes minutes; set {LONG}=1").ok();
    }
    long
}
