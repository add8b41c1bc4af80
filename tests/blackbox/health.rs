//! `grpc.health.v1`, as load balancers and orchestrators use it.

use futures_util::FutureExt as _;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    failure::{failed, reason},
    server::Server,
};

const SERVICE: &str = "readstates.v1.ReadStatesService";

fn request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn client(server: &Server) -> HealthClient<Channel> {
    HealthClient::new(server.channel().await)
}

#[tokio::test]
async fn check_knows_the_server_the_service_and_liveness() {
    let server = Server::start();
    let mut client = client(&server).await;
    for name in ["", SERVICE, "liveness"] {
        let answer = client.check(request(name)).await.expect("a known name");
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{name:?}");
    }
}

/// Whoever can connect may ask, and nothing refuses it.
#[tokio::test]
async fn long_names_are_neither_taken_nor_told_again() {
    let server = Server::start();
    let mut client = client(&server).await;
    let long = failed(client.check(request(&"a".repeat(4_000))).await);
    assert_eq!(long.code(), Code::NotFound);
    assert!(long.message().len() < 200, "{} bytes", long.message().len());
    let longer = failed(client.check(request(&"a".repeat(5_000))).await);
    assert_eq!(longer.code(), Code::ResourceExhausted);
    reason(&longer);
    let longer = failed(client.watch(request(&"a".repeat(5_000))).await);
    assert_eq!(longer.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn check_of_an_unknown_name_is_not_found() {
    let server = Server::start();
    let status = failed(client(&server).await.check(request("nobody")).await);
    assert_eq!(status.code(), Code::NotFound);
    reason(&status);
}

#[tokio::test]
async fn watch_of_an_unknown_name_says_so_and_stays_open() {
    let server = Server::start();
    let mut client = client(&server).await;
    let mut watch = client.watch(request("nobody")).await.expect("any name").into_inner();
    let first = watch.message().await.expect("no error").expect("an answer");
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    // An end of the stream would have been sent before the answer to a later call.
    client.check(request("")).await.expect("a known name");
    assert!(watch.message().now_or_never().is_none(), "the stream is open and silent");
}

#[tokio::test]
async fn scenario_41_watchers_hear_of_the_end_first() {
    let server = Server::start();
    let mut client = client(&server).await;
    let mut watches = Vec::new();
    for name in ["", SERVICE] {
        let mut watch = client.watch(request(name)).await.expect("a known name").into_inner();
        let first = watch.message().await.expect("no error").expect("an answer");
        assert_eq!(first.status(), ServingStatus::Serving, "{name:?}");
        watches.push(watch);
    }
    server.signal("TERM");
    for watch in &mut watches {
        let next = watch.message().await.expect("no error").expect("an answer");
        assert_eq!(next.status(), ServingStatus::NotServing);
    }
    drop((watches, client));
    assert_eq!(server.ended().await.code, Some(0));
}
