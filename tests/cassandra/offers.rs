//! What a deposed owner had acknowledged and not flushed goes to who owns the keyspace now, while
//! it stands by or by hand.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use readstates::{
    proto::{AckRequest, GetRequest, IncrementRequest},
    store::{Cluster, OfferPlace, OfferTable, Store as _},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use crate::{
    http,
    keyspace::Keyspace,
    program::program,
    server::{Client, Server},
    states::channel,
};

/// The owner looks every ten seconds.
const MERGE_LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

async fn ack(client: &mut Client, user_id: u64, message_id: u64) {
    let request = AckRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.ack(request).await.expect("the owner answers");
}

async fn mention(client: &mut Client, user_id: u64, message_id: u64) {
    let request = IncrementRequest { user_id, channel_id: 1, message_id, ..Default::default() };
    client.increment(request).await.expect("the owner answers");
}

/// Waits until the state of a user has this watermark and so many mentions.
async fn becomes(client: &mut Client, user_id: u64, expected: (u64, u32)) {
    let begun = Instant::now();
    loop {
        let request = GetRequest { user_id, channel_id: 1, ..Default::default() };
        let answer = client.get(request).await;
        let state = answer.ok().and_then(|answer| answer.into_inner().state).unwrap_or_default();
        let found = (state.last_acked_id, state.mention_count);
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < MERGE_LIMIT, "user {user_id}: {found:?}, not {expected:?}");
        sleep(PAUSE).await;
    }
}

/// Waits until a metric has this value.
async fn counts(server: &Server, line: &str) {
    let begun = Instant::now();
    while !http::get(server.admin(), "/metrics").body.lines().any(|found| found == line) {
        assert!(begun.elapsed() < MERGE_LIMIT, "there is no {line}");
        sleep(PAUSE).await;
    }
}

fn started(flags: &[String]) -> JoinHandle<Server> {
    let flags = flags.to_vec();
    spawn_blocking(move || {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Server::with(&flags)
    })
}

#[tokio::test]
async fn chunks_wait_until_they_are_removed() {
    let keyspace = Keyspace::default();
    let Some(options) = keyspace.options().await else { return };
    let cluster = Cluster::connect(options).await.expect("a cluster");
    let place = |offer, chunk| OfferPlace { offer, chunk };
    let places = [place(3, 0), place(3, 1), place(i64::MAX.cast_unsigned(), 0)];
    for place in places.into_iter().rev() {
        let bytes = vec![7; 200 << 10];
        // The second as if the outcome of the first were not known.
        cluster.put(place, bytes.clone()).await.expect("a chunk");
        cluster.put(place, bytes).await.expect("a chunk");
    }
    let mut after = None;
    for place in places {
        let next = cluster.next(after).await.expect("an answer").expect("a chunk");
        assert_eq!((next.place, next.bytes.len()), (place, 200 << 10));
        after = Some(place);
    }
    assert_eq!(cluster.next(after).await.expect("an answer"), None);
    for (index, place) in places.into_iter().enumerate() {
        cluster.remove(place).await.expect("an answer");
        cluster.remove(place).await.expect("it is gone already");
        let next = cluster.next(None).await.expect("an answer").map(|next| next.place);
        assert_eq!(next, places.get(index + 1).copied());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_deposed_and_stands_by_offers_what_it_had_not_flushed() {
    let keyspace = Keyspace::default();
    let Some(mut flags) = keyspace.flags().await else { return };
    flags.extend(["--standby", "--flush-after", "1h"].map(str::to_owned));
    let first = started(&flags).await.expect("it comes up");
    let mut client = first.client().await;
    ack(&mut client, 1, 10).await;
    mention(&mut client, 1, 20).await;
    ack(&mut client, 2, 7).await;
    let second = started(&flags);
    let killed = first.kill().await;
    let second = second.await.expect("it comes up");
    let mut client = second.client().await;
    mention(&mut client, 1, 30).await;
    ack(&mut client, 3, 5).await;
    becomes(&mut client, 1, (0, 1)).await;
    becomes(&mut client, 2, (0, 0)).await;

    let first = spawn_blocking(move || killed.restart());
    becomes(&mut client, 1, (10, 2)).await;
    becomes(&mut client, 2, (7, 0)).await;
    // Counted once the chunk is gone, which is after what is in it can be seen.
    counts(&second, "readstates_offer_records_total{result=\"merged\"} 2").await;
    ack(&mut client, 1, 25).await;
    drop(client);

    // The one that stood by has nothing left to bring back.
    assert_eq!(second.terminate().await.code, Some(0));
    let first = first.await.expect("it comes up");
    let mut client = first.client().await;
    for (user, expected) in [(1, (25, 1)), (2, (7, 0)), (3, (5, 0))] {
        becomes(&mut client, user, expected).await;
    }
    drop(client);
    let ended = first.terminate().await;
    assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
    assert!(ended.log.iter().any(|line| line.contains("is offered to who serves")));
    let cluster = Cluster::connect(keyspace.options().await.expect("a node")).await;
    let cluster = cluster.expect("a cluster");
    assert_eq!(cluster.next(None).await.expect("an answer"), None);
    let row = cluster.store(0).await.expect("a store").load(channel(1, 1)).await;
    let row = row.expect("a load").expect("a row");
    assert_eq!((row.last_acked_id(), row.mention_count()), (25, 1));
}

/// The exit code of `journal offer`, and what it said.
async fn offered(data_dir: &Path, flags: &[String]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = program(directory.path());
    // Not the store's: where an offer goes to is clear.
    let flags = flags.iter().filter(|flag| !["--store", "cassandra"].contains(&flag.as_str()));
    command.args(["journal", "offer", "--data-dir"]).arg(data_dir).args(flags);
    let output = spawn_blocking(move || command.output()).await.expect("waiting does not panic");
    let output = output.expect("the program is built");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_is_offered_by_hand() {
    let keyspace = Keyspace::default();
    let Some(flags) = keyspace.flags().await else { return };
    let lazy = [&flags[..], &["--flush-after", "1h"].map(str::to_owned)].concat();
    let first = started(&lazy).await.expect("it comes up");
    let data_dir = first.home.data_dir();
    let mut client = first.client().await;
    for user in 1..=100 {
        ack(&mut client, user, 10 + user).await;
    }
    // Its journal is in use.
    let (code, said) = offered(&data_dir, &flags).await;
    assert_eq!(code, Some(1), "{said}");
    let killed = first.kill().await;
    let (code, said) = offered(&data_dir, &flags).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("100 states and 0 deletions"), "{said}");
    let (code, said) = offered(&data_dir, &flags).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 states and 0 deletions"), "{said}");
    drop(killed);

    // Nobody served meanwhile: the next owner takes it.
    let second = started(&flags).await.expect("it comes up");
    let mut client = second.client().await;
    for user in 1..=100 {
        becomes(&mut client, user, (10 + user, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_of_another_store_is_not_offered() {
    let keyspace = Keyspace::default();
    let Some(flags) = keyspace.flags().await else { return };
    let alone = Server::start();
    let data_dir = alone.home.data_dir();
    ack(&mut alone.client().await, 1, 10).await;
    let killed = alone.kill().await;
    let (code, said) = offered(&data_dir, &flags).await;
    assert_eq!(code, Some(1), "{said}");
    let server = killed.restart();
    becomes(&mut server.client().await, 1, (10, 0)).await;
}
