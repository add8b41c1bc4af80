//! The chat of this repository, or another, as a replay plays it.
//!
//! Another chat is played with `READSTATES_TEST_TRACE` and `READSTATES_TEST_TRUTH`, the paths of
//! its trace and of its truth.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
};

use serde_json::Value;

use crate::program::program;

/// A trace and its truth: the chat of this repository, or another.
pub fn chat() -> (PathBuf, PathBuf) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let path = |variable: &str, own: &str| {
        env::var_os(variable).map_or_else(|| data.join(own), PathBuf::from)
    };
    (
        path("READSTATES_TEST_TRACE", "chat-fcc-train.csv.zst"),
        path("READSTATES_TEST_TRUTH", "truth-fcc-train.csv.zst"),
    )
}

/// Plays it against the server at `grpc`, HOST:PORT, and verifies what it then has.
pub fn play(grpc: &str, seed: u64) -> Child {
    let (trace, truth) = chat();
    program(Path::new("."))
        .arg("replay")
        .arg(trace)
        .arg("--verify")
        .arg(truth)
        .args(["--json", "--target", &format!("http://{grpc}")])
        .args(["--shuffle", &seed.to_string(), "--duplicate", "0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built")
}

/// What a replay told of itself.
pub fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no report, {status}: {error}: {said}"))
}
