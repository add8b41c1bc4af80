//! The comparison with peers: that the peer in Go answers as the server does, so that both are
//! asked for the same work, and that the command that compares them is sound. What it measures is
//! not looked at here.

mod answers;
mod asked;
mod command;
mod peer;
#[path = "../blackbox/program.rs"]
mod program;
#[path = "../blackbox/server.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod server;
mod side;
#[path = "../blackbox/tool.rs"]
#[allow(dead_code, reason = "other tests need other tools")]
mod tool;
