//! The Node.js client: @grpc/grpc-js, with the contract loaded by @grpc/proto-loader.

use std::process::Command;

use crate::{
    server::Server,
    tool::{clients, node, proto_root, succeeds},
};

fn run_client(script: &str) {
    let Some((node, modules)) = node() else { return };
    let server = Server::start();
    let told = succeeds(
        Command::new(node)
            .arg(clients().join("node").join(script))
            .arg(server.grpc())
            .arg(proto_root())
            .arg(modules)
            .arg(server.pid().to_string()),
    );
    assert!(told.ends_with("every check passed\n"), "{told}");
}

#[test]
fn calls_unary_methods() {
    run_client("unary.mjs");
}

#[test]
fn reads_errors_and_their_details() {
    run_client("errors.mjs");
}

#[test]
fn settles_calls_whose_deadline_passed() {
    run_client("deadlines.mjs");
}
