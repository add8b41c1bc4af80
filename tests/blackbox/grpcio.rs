//! The Python client: grpcio, with code that grpcio-tools generates from the contract.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    server::Server,
    tool::{clients, proto_root, python, succeeds},
};

/// The folder of the code that is generated from the contract.
pub fn generated(python: &Path) -> TempDir {
    let generated = TempDir::new().expect("there is room for a directory");
    let proto_root = proto_root();
    succeeds(
        Command::new(python)
            .args(["-m", "grpc_tools.protoc", "-I"])
            .arg(&proto_root)
            .arg("--python_out")
            .arg(generated.path())
            .arg("--grpc_python_out")
            .arg(generated.path())
            .arg(proto_root.join("readstates/v1/readstates.proto")),
    );
    generated
}

/// Runs a script of ours over that code.
pub fn command(python: &Path, generated: &TempDir, script: &str) -> Command {
    let mut command = Command::new(python);
    command
        .env("PYTHONPATH", generated.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(clients().join("python").join(script));
    command
}

/// Runs a script with the address of a server with these flags, and with these words.
pub fn run_client(script: &str, flags: &[&str], words: &[&str]) {
    let Some(python) = python() else { return };
    let generated = generated(&python);
    let server = Server::with(flags);
    let told = succeeds(command(&python, &generated, script).arg(server.grpc()).args(words));
    assert!(told.ends_with("every check passed\n"), "{told}");
}

#[test]
fn calls_every_unary_method() {
    run_client("unary.py", &[], &[]);
}

#[test]
fn reads_errors_and_their_details() {
    run_client("errors.py", &[], &[]);
}

/// A snapshot, events, a resume by version, an undo, and a reader that is too slow.
#[test]
fn scenario_32_keeps_a_copy_by_list_and_watch() {
    run_client("watch.py", &["--max-watch-queue", "2000"], &[]);
}

#[test]
fn sends_operations_ahead_over_a_stream() {
    run_client("apply_stream.py", &[], &[]);
}

#[test]
fn settles_calls_whose_deadline_passed() {
    let Some(python) = python() else { return };
    let generated = generated(&python);
    let server = Server::start();
    let told = succeeds(
        command(&python, &generated, "deadlines.py")
            .arg(server.grpc())
            .arg(server.pid().to_string()),
    );
    assert!(told.ends_with("every check passed\n"), "{told}");
}
