//! The Python client: grpcio, with code that grpcio-tools generates from the contract.

use std::process::Command;

use crate::{
    server::Server,
    tool::{clients, proto_root, python, succeeds},
};

fn run_client(script: &str, flags: &[&str]) {
    let Some(python) = python() else { return };
    let generated = tempfile::TempDir::new().expect("there is room for a directory");
    let proto_root = proto_root();
    succeeds(
        Command::new(&python)
            .args(["-m", "grpc_tools.protoc", "-I"])
            .arg(&proto_root)
            .arg("--python_out")
            .arg(generated.path())
            .arg("--grpc_python_out")
            .arg(generated.path())
            .arg(proto_root.join("readstates/v1/readstates.proto")),
    );
    let server = Server::with(flags);
    let told = succeeds(
        Command::new(&python)
            .env("PYTHONPATH", generated.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(clients().join("python").join(script))
            .arg(server.grpc()),
    );
    assert!(told.ends_with("every check passed\n"), "{told}");
}

#[test]
fn calls_every_unary_method() {
    run_client("unary.py", &[]);
}

#[test]
fn reads_errors_and_their_details() {
    run_client("errors.py", &[]);
}

/// A snapshot, events, a resume by version, an undo, and a reader that is too slow.
#[test]
fn scenario_32_keeps_a_copy_by_list_and_watch() {
    run_client("watch.py", &["--max-watch-queue", "2000"]);
}

#[test]
fn sends_operations_ahead_over_a_stream() {
    run_client("apply_stream.py", &[]);
}
