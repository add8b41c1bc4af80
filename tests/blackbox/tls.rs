//! TLS: served, asked of callers, and renewed under load without a failed call.

use std::{path::Path, process::Command};

use readstates::proto::{AckRequest, GetRequest};
use tempfile::TempDir;
use tonic::{
    Code, Status,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    admin::{sample, scrape_until},
    authority::{Authority, Issued},
    calling::Calling,
    grpcio,
    http::get,
    server::{Client, Server, program},
    tool::{clients, node, proto_root, python, run},
};

const RELOADS: [&str; 1] = ["readstates_tls_reloads_total"];
const FAILURES: [&str; 1] = ["readstates_tls_reload_failures_total"];

fn ack(message_id: u64) -> AckRequest {
    AckRequest { user_id: 1, channel_id: 2, message_id, ..Default::default() }
}

/// A server with this certificate, and the folder that it is in.
fn serve(issued: &Issued, flags: &[&str]) -> (Server, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let [cert, key] = issued.write(folder.path());
    let files = [("--tls-cert-file", &cert), ("--tls-key-file", &key)];
    let mut all: Vec<String> =
        files.map(|(flag, path)| format!("{flag}={}", path.display())).into();
    all.extend(["--store=memory".to_owned(), "--tls-reload-every=20ms".to_owned()]);
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    (Server::with(&all), folder)
}

async fn connect(
    server: &Server,
    tls: ClientTlsConfig,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("https://{}", server.grpc())).expect("an address");
    endpoint.tls_config(tls).expect("it is valid").connect().await
}

/// Whether a call is answered over a new connection of such a client.
async fn is_served(server: &Server, tls: ClientTlsConfig, message_id: u64) -> bool {
    let Ok(channel) = connect(server, tls).await else { return false };
    Client::new(channel).ack(ack(message_id)).await.is_ok()
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(authority.certificate())
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_trust_it_are_served_and_plain_ones_are_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (server, _folder) = serve(&authority.server(), &[]);
    assert!(is_served(&server, trusting(&authority), 1).await);
    assert!(!is_served(&server, trusting(&stranger), 2).await);
    let plain = Endpoint::from_shared(format!("http://{}", server.grpc())).expect("an address");
    let plain = Client::new(plain.connect_lazy()).ack(ack(3)).await;
    assert!(plain.is_err());
    let metrics = scrape_until(&server, |metrics| {
        sample(metrics, &["readstates_handshake_failures_total{", "\"tls\""]) >= Some(2.0)
    });
    let not_after = sample(&metrics.body, &["readstates_tls_certificate_not_after_seconds"]);
    assert!(not_after > Some(1.7e9), "{not_after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_show_a_certificate_of_an_authority_that_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("callers.pem");
    std::fs::write(&ca, authority.pem()).expect("there is room");
    let ca = format!("--tls-client-ca-file={}", ca.display());
    let known = authority.caller("spiffe://chat/gateway").identity();
    let unknown = stranger.caller("spiffe://chat/gateway").identity();
    for (flags, is_optional) in [(vec![ca.as_str()], false), (vec![&ca, OPTIONAL], true)] {
        let (server, _folder) = serve(&authority.server(), &flags);
        let tls = || trusting(&authority);
        assert!(is_served(&server, tls().identity(known.clone()), 1).await);
        assert!(!is_served(&server, tls().identity(unknown.clone()), 2).await);
        assert_eq!(is_served(&server, tls(), 3).await, is_optional);
    }
}

const OPTIONAL: &str = "--tls-client-cert-optional";

/// The code of an ack and that of a read over a connection with this certificate; `None` where
/// there is no connection.
async fn codes(server: &Server, tls: ClientTlsConfig) -> Option<[Code; 2]> {
    let mut client = Client::new(connect(server, tls).await.ok()?);
    let get = GetRequest { user_id: 1, channel_id: 2, ..Default::default() };
    let (acked, read) = (client.ack(ack(1)).await, client.get(get).await);
    let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
    let codes = [code(acked.err()), code(read.err())];
    // Refused in the hand-shake, which a client learns of with its first calls, in various ways.
    let is_judged =
        |code| matches!(code, &Code::Ok | &Code::PermissionDenied | &Code::Unauthenticated);
    codes.iter().all(is_judged).then_some(codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_known_by_their_certificates_until_they_are_removed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, callers) = (folder.path().join("ca.pem"), folder.path().join("callers.toml"));
    std::fs::write(&ca, authority.pem()).expect("there is room");
    let role = |caller: &str, role: &str| {
        format!(
            "[[caller]]\nname = {caller:?}\nroles = [{role:?}]\nsan = \"spiffe://chat/{caller}\"\n"
        )
    };
    std::fs::write(&callers, role("gateway", "writer") + &role("badges", "reader")).expect("room");
    let flags = [
        format!("--tls-client-ca-file={}", ca.display()),
        format!("--callers-file={}", callers.display()),
        "--callers-check-every=20ms".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (server, _folder) = serve(&authority.server(), &flags);
    let as_of = |authority_of: &Authority, caller: &str| {
        let id = format!("spiffe://chat/{caller}");
        trusting(&authority).identity(authority_of.caller(&id).identity())
    };
    let denied = Code::PermissionDenied;
    let unknown = Some([Code::Unauthenticated; 2]);
    assert_eq!(codes(&server, as_of(&authority, "gateway")).await, Some([Code::Ok, denied]));
    assert_eq!(codes(&server, as_of(&authority, "badges")).await, Some([denied, Code::Ok]));
    assert_eq!(codes(&server, as_of(&authority, "nobody")).await, unknown);
    assert_eq!(codes(&server, as_of(&stranger, "gateway")).await, None);
    let loaded = ["readstates_callers "];
    assert_eq!(sample(&get(server.admin(), "/metrics").body, &loaded), Some(2.0));
    std::fs::write(folder.path().join("next"), role("badges", "reader")).expect("there is room");
    std::fs::rename(folder.path().join("next"), &callers).expect("it is one folder");
    scrape_until(&server, |metrics| sample(metrics, &loaded) == Some(1.0));
    assert_eq!(codes(&server, as_of(&authority, "gateway")).await, unknown);
}

/// As a container asks for its own health.
#[tokio::test(flavor = "multi_thread")]
async fn commands_of_this_program_speak_tls_and_show_a_certificate() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("there is room");
    let (server, _folder) =
        serve(&authority.server(), &[&format!("--tls-client-ca-file={}", ca.display())]);
    let [cert, key] = authority.caller("spiffe://chat/probe").write(folder.path());
    let health = |with_certificate: bool| {
        let mut command = program(folder.path());
        command.args(["health", "--target", &format!("https://{}", server.grpc())]);
        command.arg("--target-ca-file").arg(&ca);
        if with_certificate {
            command.arg("--target-cert-file").arg(&cert).arg("--target-key-file").arg(&key);
        }
        run(&mut command).status.code()
    };
    assert_eq!((health(true), health(false)), (Some(0), Some(69)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pair_is_refused_and_the_old_one_stays() {
    let authority = Authority::new();
    let (server, folder) = serve(&authority.server(), &[]);
    let old = connect(&server, trusting(&authority)).await.expect("it is served");
    let before = sample(&get(server.admin(), "/metrics").body, &RELOADS);
    let key_of_another = Issued { key: authority.server().key, ..authority.server() };
    let no_pem = Issued { cert: "no certificate".to_owned(), ..authority.server() };
    let broken = [key_of_another, no_pem, authority.outdated_server()];
    for (number, broken) in (1_u64..).zip(broken) {
        let failures = sample(&get(server.admin(), "/metrics").body, &FAILURES);
        broken.write(folder.path());
        // The two files do not change at once: each may be looked at with the other's old one.
        scrape_until(&server, |metrics| sample(metrics, &FAILURES) > failures);
        assert!(is_served(&server, trusting(&authority), number).await, "broken pair {number}");
    }
    assert_eq!(sample(&get(server.admin(), "/metrics").body, &RELOADS), before);
    let next = Authority::new();
    next.server().write(folder.path());
    scrape_until(&server, |metrics| sample(metrics, &RELOADS) > before);
    assert!(is_served(&server, trusting(&next), 10).await);
    assert!(!is_served(&server, trusting(&authority), 11).await);
    Client::new(old).ack(ack(12)).await.expect("what was open stays open");
}

/// Renews the certificate while a client calls, on old connections and on new ones.
fn renew_under_load(command: impl FnOnce(&Server, &Path) -> Command) {
    let authority = Authority::new();
    let (server, folder) = serve(&authority.server(), &[]);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("there is room");
    let calling = Calling::start(&mut command(&server, &ca));
    for _ in 0..20 {
        let before = sample(&get(server.admin(), "/metrics").body, &RELOADS);
        authority.server().write(folder.path());
        scrape_until(&server, |metrics| sample(metrics, &RELOADS) > before);
    }
    calling.end();
}

#[test]
fn grpcio_calls_through_renewals_and_none_fails() {
    let Some(python) = python() else { return };
    let generated = grpcio::generated(&python);
    renew_under_load(|server, ca| {
        let mut command = grpcio::command(&python, &generated, "reload.py");
        command.arg(server.grpc()).arg(ca);
        command
    });
}

#[test]
fn grpc_js_calls_through_renewals_and_none_fails() {
    let Some((node, modules)) = node() else { return };
    renew_under_load(|server, ca| {
        let mut command = Command::new(node);
        command.arg(clients().join("node/reload.mjs")).arg(server.grpc());
        command.arg(proto_root()).arg(modules).arg(ca);
        command
    });
}
