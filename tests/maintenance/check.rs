//! What a server finds when it checks itself.

use readstates::{
    model::Version,
    proto::{
        AckRequest, GetRequest, VerifyRequest,
        maintenance_service_client::MaintenanceServiceClient,
        read_states_service_client::ReadStatesServiceClient,
    },
    store::{Call, Moment, Store as _},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    command::Desk,
    ground::{Ground, key, state},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_planted_behind_the_caches_back_is_found() {
    let desk = Desk::new();
    let ground = Ground::new().await;
    let url = format!("http://{}", ground.address);
    let target = ground.address.to_string();
    let mut client = ReadStatesServiceClient::connect(url).await.expect("it answers");
    let mut versions = Vec::new();
    let mut ack = async |user_id, message_id| {
        let request = AckRequest { user_id, channel_id: 1, message_id, ..AckRequest::default() };
        let answer = client.ack(request).await.expect("it is acked").into_inner();
        answer.state.expect("a state").version
    };
    for user in 1..=5 {
        versions.push(Version::from_micros(ack(user, 10).await));
    }
    let found = desk.run(&target, &["verify", "--json"]).well();
    assert_eq!((found.count("rows"), found.count("cached")), (5, 5));
    ground.plant(key(1, 1), state(11, versions[0])).await;
    ground.plant(key(2, 1), state(10, versions[1].next())).await;
    ground.store.delete_user(key(3, 1).user, versions[2]).await.expect("it is gone");
    let found = desk.run(&target, &["verify", "--json"]);
    assert_eq!((found.code, found.count("differences")), (1, 3));
    let json = found.json();
    let mut kinds: Vec<(&str, &str)> = json["examples"]
        .as_array()
        .expect("they are listed")
        .iter()
        .map(|example| {
            let user = example["state"]["user_id"].as_str().expect("a string");
            (user, example["what"].as_str().expect("a string"))
        })
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            ("1", "DIFFERENCE_KIND_ROW_DIFFERS"),
            ("2", "DIFFERENCE_KIND_ROW_DIFFERS"),
            ("3", "DIFFERENCE_KIND_ROW_MISSING"),
        ]
    );
    let told = desk.run(&target, &["verify"]);
    assert!(told.code == 1 && told.stdout.contains("user 3, channel 1: the store has lost it"));
    // Written anew, all is well again.
    for user in 1..=3 {
        ack(user, 20).await;
    }
    desk.run(&target, &["verify"]).well();
    drop(client);
    ground.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_check_at_a_time() {
    let ground = Ground::new().await;
    ground.plant(key(1, 1), state(10, Version::from_micros(5))).await;
    let url = format!("http://{}", ground.address);
    let mut client = MaintenanceServiceClient::connect(url).await.expect("it answers");
    let gate = ground.faults.hold_next(Call::Scan, Moment::Before);
    let mut first = client.verify(VerifyRequest {}).await.expect("it begins").into_inner();
    ground.faults.until(|tally| tally.held(Call::Scan) == 1).await;
    let refused = client.verify(VerifyRequest {}).await.expect_err("there is one");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let reason = refused.get_details_error_info().expect("a reason").reason;
    assert_eq!(reason, "TOO_MANY_REQUESTS");
    gate.open();
    let mut rows = 0;
    while let Some(answer) = first.message().await.expect("it goes on") {
        rows = answer.rows;
    }
    assert_eq!(rows, 1);
    desk_verifies(&ground.address.to_string());
    drop((client, first));
    ground.stop().await;
}

fn desk_verifies(target: &str) {
    Desk::new().run(target, &["verify"]).well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_told_and_hides_no_other() {
    let desk = Desk::new();
    let ground = Ground::new().await;
    let target = ground.address.to_string();
    for user in 1..=5 {
        ground.plant(key(user, 1), state(10, Version::from_micros(user))).await;
    }
    desk.dump(&target, "whole.ndjson");
    let url = format!("http://{target}");
    let mut client = ReadStatesServiceClient::connect(url).await.expect("it answers");
    // One that is in memory too.
    let get = GetRequest { user_id: 3, channel_id: 1, r#type: 0 };
    client.get(get).await.expect("it is there");
    ground.faults.damage_keys([key(3, 1), key(5, 1)]);
    let found = desk.run(&target, &["verify", "--json"]);
    assert_eq!((found.code, found.count("rows"), found.count("differences")), (1, 5, 2));
    assert!(found.stdout.contains("DIFFERENCE_KIND_ROW_DAMAGED"), "{}", found.stdout);
    let ended = desk.run(&target, &["dump", "--output", "a.ndjson"]);
    assert!(ended.code == 1 && ended.stderr.contains("damaged"), "{}", ended.stderr);
    // What came before it is there, and the rest can be had.
    let words = ["dump", "--json", "--resume", "--skip-damaged", "--output", "a.ndjson"];
    let rescued = desk.run(&target, &words).well();
    assert_eq!((rescued.count("rows"), rescued.count("skipped")), (3, 2));
    assert!(rescued.stderr.contains("skipped user 5, channel 1: "), "{}", rescued.stderr);
    let found = desk.run(&target, &["verify", "--json", "whole.ndjson"]);
    assert_eq!((found.code, found.count("equal"), found.count("missing")), (1, 3, 2));
    drop(client);
    ground.stop().await;
}
