//! Streams under way when their callers may not have them any more.

use std::sync::Arc;

use prost::Message as _;
use readstates::{
    clock::{Clock, ManualTime},
    proto,
};
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    credential::Credential,
    house::{Answer, House, file},
    methods::{acking, list, watch},
};

const APPLY_STREAM: &str = "/readstates.v1.ReadStatesService/ApplyStream";
const LIST: &str = "/readstates.v1.ReadStatesService/List";
const WATCH: &str = "/readstates.v1.ReadStatesService/Watch";
const READER: (&str, &str) = ("reader", "roles = [\"reader\"]");
const WRITER: (&str, &str) = ("writer", "roles = [\"writer\"]");

const USER: u64 = 1;

/// The end of a stream from which nothing more should come.
async fn end(answer: &mut Answer) -> (Code, String) {
    let status: Status = match answer.message().await {
        Err(status) => status,
        Ok(message) => panic!("it goes on: {message:?}"),
    };
    let reason = status.get_details_error_info().expect("every error has a reason").reason;
    (status.code(), reason)
}

async fn watching(house: &House, name: &'static str) -> Answer {
    let credential = Credential::TokenOf(name);
    let mut answer = house.begin(WATCH, &credential, watch(USER)).await.expect("it may watch");
    loop {
        let message = answer.message().await.expect("no error").expect("an event");
        let event = proto::WatchResponse::decode(&*message).expect("an event");
        if event.cause() == proto::Cause::CaughtUp {
            return answer;
        }
    }
}

fn acks(sequence: u64, message: u64) -> Vec<u8> {
    let operations = vec![acking(USER, message)];
    proto::ApplyStreamRequest { sequence, operations }.encode_to_vec()
}

async fn last_acked(house: &House) -> Vec<u64> {
    let listed = house.call(LIST, &Credential::TokenOf("reader"), list(USER)).await;
    let listed = proto::ListResponse::decode(&*listed.expect("it lists")).expect("an answer");
    listed.states.iter().map(|state| state.last_acked_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_on_which_nothing_happens_ends_with_its_caller_and_no_other_does() {
    let leaver = ("leaver", "roles = [\"reader\"]");
    let mut house = House::with(&file(&[READER, WRITER, leaver]), Clock::system(), |_| ()).await;
    let (mut left, mut stays) =
        (watching(&house, "leaver").await, watching(&house, "reader").await);
    house.rewrite(&file(&[READER, WRITER])).await;
    assert_eq!(end(&mut left).await, (Code::Unauthenticated, "NO_CREDENTIALS".to_owned()));
    let (messages, sent) = mpsc::channel(1);
    messages.send(acks(1, 100)).await.expect("it is taken");
    let writer = Credential::TokenOf("writer");
    let mut answers = house.converse(APPLY_STREAM, &writer, sent).await.expect("it may");
    answers.message().await.expect("no error").expect("an answer");
    let event = stays.message().await.expect("it goes on").expect("an event");
    let event = proto::WatchResponse::decode(&*event).expect("an event");
    assert_eq!(event.state.expect("a state").last_acked_id, 100);
    assert_eq!(house.metric("readstates_watch_streams").await, 1.0);
    drop((messages, answers, stays));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_operations_does_none_once_its_caller_lost_the_role() {
    let mut house = House::with(&file(&[READER, WRITER]), Clock::system(), |_| ()).await;
    let (messages, sent) = mpsc::channel(1);
    messages.send(acks(1, 100)).await.expect("it is taken");
    let writer = Credential::TokenOf("writer");
    let mut answers = house.converse(APPLY_STREAM, &writer, sent).await.expect("it may");
    answers.message().await.expect("no error").expect("an answer");
    house.rewrite(&file(&[READER, ("writer", "roles = [\"fanout\"]")])).await;
    // It may have ended already, and then takes no more.
    messages.send(acks(2, 200)).await.ok();
    assert_eq!(end(&mut answers).await, (Code::PermissionDenied, "ROLE".to_owned()));
    assert_eq!(last_acked(&house).await, [100]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_the_time_of_its_caller_is_over() {
    // 2027-01-01T00:00:00Z.
    let time = ManualTime::starting_at(1_798_761_600_000_000);
    let passing = ("passing", "roles = [\"reader\"]\nexpires = 2027-01-01T00:00:10Z");
    let clock = Clock::manual(Arc::clone(&time));
    let mut house = House::with(&file(&[READER, passing]), clock, |_| ()).await;
    let mut answer = watching(&house, "passing").await;
    time.advance_ms(10_000);
    house.changed().await;
    assert_eq!(end(&mut answer).await, (Code::Unauthenticated, "NO_CREDENTIALS".to_owned()));
    assert_eq!(house.metric("readstates_callers_expired").await, 1.0);
    let series = "readstates_requests_denied_total{reason=\"expired\"}";
    assert_eq!(house.metric(series).await, 1.0);
    house.close().await;
}
