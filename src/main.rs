//! The readstates program.

fn main() {}
