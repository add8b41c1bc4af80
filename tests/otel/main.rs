//! Traces: the built program with the feature `otel`, and a collector that this test plays. Run it
//! with `cargo test --features otel --test otel`.

mod asking;
mod collector;
mod failing;
#[path = "../blackbox/http.rs"]
#[allow(dead_code, reason = "some of many is taken over")]
mod http_get;
#[path = "../blackbox/program.rs"]
mod program;
#[path = "../blackbox/server.rs"]
#[allow(dead_code, reason = "some of many is taken over")]
mod server;
mod spans;
mod wanting;
mod wire;
