//! Request ids: what a caller sends comes back, and what fails on the server is found in its log.

use readstates::proto::{AckRequest, GetRequest, WatchRequest, WatchTarget};
use tonic::{Code, Request, metadata::MetadataMap};

use crate::{
    failure::{failed, reason},
    server::Server,
};

const ID: &str = "x-request-id";

fn with_id<T>(message: T, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ID, id.parse().expect("it is a value"));
    request
}

fn id(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(ID).map(|id| id.to_str().expect("it is text"))
}

fn ack() -> AckRequest {
    AckRequest { user_id: 1, channel_id: 2, message_id: 3, ..Default::default() }
}

fn watch() -> WatchRequest {
    let target = WatchTarget { user_id: 1, from_now: true, ..Default::default() };
    WatchRequest { targets: vec![target] }
}

#[tokio::test]
async fn an_id_comes_back_with_every_kind_of_answer() {
    let server = Server::start();
    let mut client = server.client().await;
    let answer = client.ack(with_id(ack(), "mine-1")).await.expect("an ack is taken");
    assert_eq!(id(answer.metadata()), Some("mine-1"));
    let missing = GetRequest { user_id: 9, channel_id: 9, ..Default::default() };
    let status = failed(client.get(with_id(missing, "mine-2")).await);
    assert_eq!((status.code(), id(status.metadata())), (Code::NotFound, Some("mine-2")));
    let answer = client.watch(with_id(watch(), "mine-3")).await.expect("it is watched");
    assert_eq!(id(answer.metadata()), Some("mine-3"));
}

#[tokio::test]
async fn without_an_id_or_with_a_bad_one_there_is_none() {
    let server = Server::start();
    let mut client = server.client().await;
    let answer = client.ack(ack()).await.expect("an ack is taken");
    assert_eq!(id(answer.metadata()), None);
    for bad in ["two words", &"x".repeat(129)] {
        let answer = client.ack(with_id(ack(), bad)).await.expect("an ack is taken");
        assert_eq!(id(answer.metadata()), None, "{bad:?}");
    }
    let status = failed(client.ack(AckRequest::default()).await);
    assert_eq!((status.code(), id(status.metadata())), (Code::InvalidArgument, None));
}

#[tokio::test]
async fn what_fails_on_the_server_is_in_its_log_under_the_id_of_the_answer() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut nameless = client.watch(watch()).await.expect("it is watched").into_inner();
    let named = client.watch(with_id(watch(), "mine")).await.expect("it is watched");
    let mut named = named.into_inner();
    server.signal("TERM");
    let mut ids = Vec::new();
    for stream in [&mut nameless, &mut named] {
        let status = loop {
            match stream.message().await {
                Ok(event) => assert!(event.is_some(), "it ends with an error"),
                Err(status) => break status,
            }
        };
        assert_eq!(reason(&status), "DRAINING");
        ids.push(id(status.metadata()).expect("an id").to_owned());
    }
    drop((nameless, named, client));
    assert_eq!((ids[0].len(), ids[1].as_str()), (32, "mine"));
    let log = server.ended().await.log;
    for id in ids {
        let told = log.iter().find(|line| line.contains(&format!("\"request_id\":\"{id}\"")));
        let told = told.unwrap_or_else(|| panic!("{id} is not in {log:#?}"));
        assert!(told.contains("\"reason\":\"DRAINING\"") && told.contains("Watch"), "{told}");
    }
}

#[tokio::test]
async fn each_call_with_an_id_is_in_a_log_that_wants_it() {
    let mut server = Server::with(&["--log-filter=info,readstates::rpc=debug"]);
    let mut client = server.client().await;
    client.ack(with_id(ack(), "mine-4")).await.expect("an ack is taken");
    server.logged("mine-4");
}
