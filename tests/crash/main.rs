//! Proofs from outside that what was acknowledged survives: the built program is killed, its disk
//! loses power, its system calls fail, and clients that speak only gRPC compare what it then shows
//! with what it had answered.
//!
//! Each test has a short form, which runs by default, and a long one for a release:
//!
//! ```text
//! READSTATES_TEST_LONG=1 cargo test --test crash -- --nocapture
//! ```
//!
//! Each prints its seed as `READSTATES_TEST_SEED=...`; with that in the environment it draws the
//! same operations and settings again. The moments of kills stay a matter of chance.

mod acts;
mod answered;
mod caller;
mod calls;
mod chat;
mod checker;
mod crew;
mod disk_errors;
mod follower;
mod fs;
mod healing;
mod histories;
mod kill;
mod linearize;
#[path = "../scenarios/naive.rs"]
mod naive;
mod node;
mod power_cut;
#[path = "../blackbox/program.rs"]
mod program;
mod replay;
mod settings;
mod syscalls;
#[path = "../blackbox/tool.rs"]
#[allow(dead_code, reason = "other tests need other tools")]
mod tool;
mod verdict;
mod watching;
mod worker;
