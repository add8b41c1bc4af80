//! The calls themselves: what they refuse, and how.

use readstates::proto::{
    AckRequest, DumpRequest, Key, LoadRequest, StateRecord,
    maintenance_service_client::MaintenanceServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::server::Server;

pub fn record(user_id: u64, version: u64) -> StateRecord {
    StateRecord { user_id, channel_id: 1, version, last_acked_id: 9, ..StateRecord::default() }
}

pub async fn load(
    client: &mut MaintenanceServiceClient<Channel>,
    states: Vec<StateRecord>,
) -> Result<(u32, u32), Status> {
    let answer = client.load(LoadRequest { states }).await?.into_inner();
    Ok((answer.taken, answer.older))
}

#[track_caller]
fn assert_refused(refused: Result<(u32, u32), Status>, reason: &str, field: &str) {
    let status = refused.expect_err("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().expect("a reason").reason, reason);
    let bad = status.get_details_bad_request().expect("a field").field_violations;
    assert_eq!(bad[0].field, field);
}

#[tokio::test]
async fn a_batch_with_a_wrong_state_is_refused_by_its_place_and_nothing_is_taken() {
    let server = Server::with(&["--max-items", "3"]);
    let mut client = MaintenanceServiceClient::new(server.channel().await);
    let unsorted = StateRecord { counted_ids: vec![30, 20], ..record(2, 5) };
    let below = StateRecord { counted_ids: vec![9], ..record(2, 5) };
    let tombstone = StateRecord { deleted: true, ..record(2, 5) };
    for (wrong, reason, field) in [
        (record(0, 5), "INVALID_ID", "states[1].user_id"),
        (StateRecord { r#type: 77, ..record(2, 5) }, "INVALID_TYPE", "states[1].type"),
        (record(2, 0), "INVALID_STATE", "states[1]"),
        (unsorted, "INVALID_STATE", "states[1]"),
        (below, "INVALID_STATE", "states[1]"),
        (tombstone, "INVALID_STATE", "states[1]"),
        (record(2, u64::MAX), "INVALID_STATE", "states[1].version"),
    ] {
        assert_refused(load(&mut client, vec![record(1, 5), wrong]).await, reason, field);
    }
    let many = (1..=4).map(|user| record(user, 5)).collect();
    assert_refused(load(&mut client, many).await, "TOO_MANY_ITEMS", "states");
    let counts = load(&mut client, vec![record(1, 5), record(1, 6), record(1, 4)]).await;
    assert_eq!(counts.expect("it is taken"), (2, 1), "nothing was taken before, and 6 is newest");
    assert_eq!(load(&mut client, vec![]).await.expect("it is nothing"), (0, 0));
    let after = Some(Key { user_id: 1, channel_id: 0, r#type: 1 });
    let refused = client.dump(DumpRequest { after, ..DumpRequest::default() }).await;
    assert_refused(refused.map(|_| (0, 0)), "INVALID_ID", "after.channel_id");
}

#[tokio::test]
async fn a_dump_is_gone_on_with_only_where_its_line_may_have_been_drawn() {
    let server = Server::with(&["--store", "memory"]);
    let mut client = MaintenanceServiceClient::new(server.channel().await);
    load(&mut client, vec![record(1, 5)]).await.expect("it is taken");
    let mut first = async |version| {
        let request = DumpRequest { version, ..DumpRequest::default() };
        client.dump(request).await.expect("it begins").into_inner().message().await
    };
    let line = first(0).await.expect("it is drawn").expect("an answer").version;
    let states = first(line).await.expect("it goes on").expect("an answer").states;
    assert_eq!(states, [StateRecord { r#type: 1, ..record(1, 5) }]);
    let refused = first(u64::MAX).await.map(|_| (0, 0));
    assert_refused(refused, "INVALID_STATE", "version");
}

#[tokio::test]
async fn versions_ahead_of_the_clock_are_taken_and_those_after_them_rise_over_restarts() {
    const HOUR_US: u64 = 3_600_000_000;
    let server = Server::start();
    let mut client = MaintenanceServiceClient::new(server.channel().await);
    let ack = AckRequest { user_id: 1, channel_id: 2, message_id: 3, ..AckRequest::default() };
    let version = async |server: &Server, message_id| {
        let ack = AckRequest { message_id, ..ack };
        let answer = server.client().await.ack(ack).await.expect("it is acked").into_inner();
        answer.state.expect("a state").version
    };
    let now = version(&server, 3).await;
    let ahead = now + HOUR_US;
    assert_eq!(load(&mut client, vec![record(1, ahead)]).await.expect("it is taken"), (1, 0));
    let next = version(&server, 4).await;
    assert!(next > ahead, "{next} is not behind {ahead}");
    drop(client);
    let server = server.kill().await.restart();
    assert!(version(&server, 5).await > next);
}
