//! grpcurl, which knows of this service only what reflection tells it.

use std::process::{Command, Output};

use crate::{
    server::Server,
    tool::{run, succeeds, text, tool},
};

const SERVICE: &str = "readstates.v1.ReadStatesService";

/// A server and grpcurl before its address; `None` where it is not installed.
fn setup() -> Option<(Server, impl Fn(&[&str]) -> Command)> {
    let program = tool("grpcurl", "install github.com/fullstorydev/grpcurl/cmd/grpcurl")?;
    let server = Server::start();
    let address = server.grpc().to_owned();
    let grpcurl = move |arguments: &[&str]| {
        let (flags, verb) =
            arguments.split_at(arguments.iter().take_while(|a| **a != "--").count());
        let mut command = Command::new(&program);
        command.arg("-plaintext").args(flags).arg(&address).args(&verb[1..]);
        command
    };
    Some((server, grpcurl))
}

fn call<'a>(json: &'a str, method: &'a str) -> [&'a str; 4] {
    ["-d", json, "--", method]
}

#[test]
fn lists_the_services() {
    let Some((_server, grpcurl)) = setup() else { return };
    let listed = succeeds(&mut grpcurl(&["--", "list"]));
    for service in [SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(listed.lines().any(|line| line == service), "{service}: {listed}");
    }
}

#[test]
fn describes_methods_and_messages() {
    let Some((_server, grpcurl)) = setup() else { return };
    let service = succeeds(&mut grpcurl(&["--", "describe", SERVICE]));
    for method in ["Ack", "Increment", "List", "BulkAck", "Apply", "ApplyStream", "Watch"] {
        assert!(service.contains(&format!("rpc {method} (")), "{method}: {service}");
    }
    let message = succeeds(&mut grpcurl(&["--", "describe", "readstates.v1.ReadState"]));
    assert!(message.contains("fixed64 last_acked_id = 3"), "{message}");
}

#[test]
fn acks_and_reads() {
    let Some((_server, grpcurl)) = setup() else { return };
    let ack = r#"{"user_id": "1", "channel_id": "2", "message_id": "18446744073709551615"}"#;
    let method = format!("{SERVICE}/Ack");
    let answer = succeeds(&mut grpcurl(&call(ack, &method)));
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["changed"], true);
    assert_eq!(answer["state"]["lastAckedId"], "18446744073709551615");
    assert_eq!(answer["state"]["type"], "READ_STATE_TYPE_CHANNEL");
    let method = format!("{SERVICE}/Get");
    let read = succeeds(&mut grpcurl(&call(r#"{"user_id": 1, "channel_id": 2}"#, &method)));
    let read: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(read["state"], answer["state"]);
}

fn refused(output: &Output) -> String {
    let [stdout, stderr] = text(output);
    assert!(!output.status.success(), "{stdout}");
    stderr
}

#[test]
fn prints_the_details_of_an_error() {
    let Some((_server, grpcurl)) = setup() else { return };
    let method = format!("{SERVICE}/Ack");
    let told = refused(&run(&mut grpcurl(&call(r#"{"channel_id": 2, "message_id": 3}"#, &method))));
    let parts = [
        "InvalidArgument",
        "google.rpc.ErrorInfo",
        "INVALID_ID",
        "\"readstates\"",
        "google.rpc.BadRequest",
        "\"user_id\"",
    ];
    for part in parts {
        assert!(told.contains(part), "{part}: {told}");
    }
    let method = format!("{SERVICE}/Get");
    let told = refused(&run(&mut grpcurl(&call(r#"{"user_id": 1, "channel_id": 2}"#, &method))));
    for part in ["NotFound", "READ_STATE_NOT_FOUND"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn asks_the_older_reflection_too() {
    let Some((_server, grpcurl)) = setup() else { return };
    for version in ["v1", "v1alpha"] {
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let listed = succeeds(&mut grpcurl(&call(r#"{"list_services": ""}"#, &method)));
        assert!(listed.contains(SERVICE), "{version}: {listed}");
    }
}
