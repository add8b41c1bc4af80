//! Moving and checking the states of live servers, by the program's own commands: what a dump has,
//! what a load makes of it, and what a check finds.

mod bad_files;
mod ceilings;
mod check;
mod command;
mod deltas;
mod dump;
mod ground;
mod load;
#[path = "../blackbox/program.rs"]
mod program;
mod races;
#[path = "../blackbox/server.rs"]
#[allow(dead_code, reason = "other tests need other ways to end")]
mod server;
mod wire;
mod writers;
