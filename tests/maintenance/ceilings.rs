//! Versions from ahead of the clock: whatever comes after them is newer, also after a kill, and a
//! deletion of their user takes them along.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use readstates::{
    model::Version,
    proto::{
        DeleteUserRequest, maintenance_service_client::MaintenanceServiceClient,
        read_states_service_client::ReadStatesServiceClient,
    },
    store::Store as _,
};
use serde_json::Value;

use crate::{
    ground::{Ground, key, state},
    program::program,
    server::Server,
    wire::{load, record},
};

const MINUTE_US: u64 = 60_000_000;
const LOADS: u64 = 48;
const ROUNDS: u64 = 3;

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_micros()).expect("and not that late")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_at_once_leave_a_ceiling_above_all_that_they_brought() {
    let server = Server::start();
    let client = MaintenanceServiceClient::new(server.channel().await);
    for round in 1..=ROUNDS {
        // All of them find a ceiling that is too low, and each wants another.
        let ahead = now_us() + round * (LOADS + 10) * MINUTE_US;
        let highest = ahead + LOADS * MINUTE_US;
        let loads = (1..=LOADS).rev().map(|load_| {
            let mut client = client.clone();
            let state = record(round * 100 + load_, ahead + load_ * MINUTE_US);
            async move { load(&mut client, vec![state]).await }
        });
        for loaded in join_all(loads).await {
            assert_eq!(loaded.expect("it is taken"), (1, 0));
        }
        let data_dir = server.home.data_dir();
        let mut inspect = program(&data_dir);
        inspect.args(["journal", "inspect", "--json", "--data-dir"]).arg(&data_dir);
        let inspected = inspect.output().expect("it runs").stdout;
        let inspected: Value = serde_json::from_slice(&inspected).expect("JSON");
        let ceiling = inspected["ceiling"].as_str().expect("a string");
        let ceiling: u64 = ceiling.parse().expect("a number");
        assert!(ceiling > highest, "round {round}: {ceiling} is not above {highest}");
    }
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_deleted_with_states_from_ahead_of_the_clock() {
    let ground = Ground::new().await;
    let url = format!("http://{}", ground.address);
    let mut client = ReadStatesServiceClient::connect(url).await.expect("it answers");
    // Below the clock's ceiling, and far above it.
    for (user, ahead_us) in [(1, MINUTE_US / 60), (2, 600 * MINUTE_US)] {
        ground.plant(key(user, 1), state(5, Version::from_micros(now_us() + ahead_us))).await;
        let request = DeleteUserRequest { user_id: user };
        let deleted = client.delete_user(request).await.expect("it is deleted").into_inner();
        assert_eq!(deleted.deleted, 1);
        let rows = ground.store.load_user(key(user, 1).user, None, 9).await.expect("it answers");
        assert_eq!(rows.rows, [], "of user {user}");
    }
    drop(client);
    ground.stop().await;
}
