//! A million keys that nobody needs, in a small cache: memory stays within what was configured, and
//! what was there before is still there.

use readstates::proto::{AckRequest, ApplyRequest, GetRequest, Operation, operation};

use crate::{
    admin::sample,
    http,
    server::{Client, Server},
};

const KEYS: u64 = 1_000_000;
const KEYS_PER_CALL: u64 = 10_000;
/// What the server is allowed: 16 MiB of cache, 16 MiB of the store's own cache.
const FLAGS: [&str; 4] = ["--cache-memory", "16MiB", "--store-cache-memory", "16MiB"];
/// The program itself, and the store's write buffers and log, which the start-up line adds up.
const BESIDES_BYTES: f64 = 300e6;

fn ack(user_id: u64) -> AckRequest {
    AckRequest { user_id, channel_id: 7, message_id: user_id, ..AckRequest::default() }
}

async fn flood(client: &mut Client) {
    for call in 1..=KEYS / KEYS_PER_CALL {
        let users = call * KEYS_PER_CALL..(call + 1) * KEYS_PER_CALL;
        let operations = users
            .map(|user| Operation { operation: Some(operation::Operation::Ack(ack(user))) })
            .collect();
        let answer = client.apply(ApplyRequest { operations }).await.expect("junk is taken, too");
        let results = answer.into_inner().results;
        let refused = results.iter().find(|result| result.code != 0 || !result.changed);
        assert_eq!(refused, None, "call {call}");
    }
}

#[tokio::test]
async fn a_million_junk_keys_stay_within_the_memory_that_was_configured() {
    let server = Server::with(&FLAGS);
    let mut client = server.client().await;
    client.ack(ack(1)).await.expect("an ack is taken");
    flood(&mut client).await;
    let metrics = http::get(server.admin(), "/metrics").body;
    let value = |name: &str| sample(&metrics, &[name]).expect(name);
    let entries = value("readstates_cache_entries ");
    assert!(entries <= value("readstates_cache_capacity_entries "), "{entries} entries");
    let resident = value("process_resident_memory_bytes ");
    assert!(resident < BESIDES_BYTES, "{resident} bytes resident");
    for user_id in [1, KEYS_PER_CALL, KEYS / 2, KEYS] {
        let request = GetRequest { user_id, channel_id: 7, ..GetRequest::default() };
        let state = client.get(request).await.expect("nothing is lost").into_inner().state;
        assert_eq!(state.expect("a state").last_acked_id, user_id);
    }
}
