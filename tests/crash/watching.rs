//! Kill -9 under watchers: what one was told is true afterwards, and whoever resumes by version
//! ends with what the server has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::proto::{
    AckRequest, BulkAckItem, BulkAckRequest, DeleteRequest, DeleteUserRequest, FanOutRequest,
    IncrementRequest, MarkUnreadRequest, ResetRequest, RetractRequest,
};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinSet};
use tonic::Status;

use crate::{
    follower::Follower,
    node::{Client, Plan},
    settings::{DURABILITY, either, seed},
};

const USERS: u64 = 6;
const CHANNELS: u64 = 12;
const FOLLOWERS: usize = 4;
const WRITERS: u64 = 24;
/// A kill comes after so many answers ...
const ANSWERS_MIN: u64 = 200;
/// ... or up to so many more.
const ANSWERS_MORE: u64 = 800;

/// Counts answers, up to those after which the server is killed.
struct Kill {
    answers: AtomicU64,
    wanted: u64,
    now: Notify,
}

/// Makes calls until one gets no answer.
async fn write(mut client: Client, mut random: StdRng, newest: Arc<AtomicU64>, kill: Arc<Kill>) {
    loop {
        let message_id = newest.fetch_add(1, Ordering::Relaxed);
        if call(&mut client, &mut random, message_id).await.is_err() {
            return;
        }
        if kill.answers.fetch_add(1, Ordering::SeqCst) + 1 == kill.wanted {
            kill.now.notify_one();
        }
    }
}

async fn call(client: &mut Client, random: &mut StdRng, newest: u64) -> Result<(), Status> {
    let user_id = random.random_range(1..=USERS);
    let channel_id = random.random_range(1..=CHANNELS);
    let message_id = newest - random.random_range(0..20);
    match random.random_range(0..100) {
        0..30 => {
            let ack = AckRequest { user_id, channel_id, message_id, ..Default::default() };
            client.ack(ack).await.map(drop)
        }
        30..60 => {
            let mention =
                IncrementRequest { user_id, channel_id, message_id, ..Default::default() };
            client.increment(mention).await.map(drop)
        }
        60..65 => {
            let reset = ResetRequest { user_id, channel_id, ..Default::default() };
            client.reset(reset).await.map(drop)
        }
        65..72 => {
            let rewind =
                MarkUnreadRequest { user_id, channel_id, message_id, ..Default::default() };
            client.mark_unread(rewind).await.map(drop)
        }
        72..80 => {
            let user_ids = (1..=USERS).collect();
            let all = FanOutRequest { channel_id, message_id, user_ids, initial_acked_id: None };
            client.fan_out(all).await.map(drop)
        }
        80..86 => {
            let user_ids = (1..=USERS).collect();
            client.retract(RetractRequest { channel_id, message_id, user_ids }).await.map(drop)
        }
        86..92 => {
            let delete = DeleteRequest { user_id, channel_id, ..Default::default() };
            client.delete(delete).await.map(drop)
        }
        92..99 => {
            let item = |channel_id| BulkAckItem { channel_id, message_id, ..Default::default() };
            let items = (1..=CHANNELS).map(item).collect();
            client.bulk_ack(BulkAckRequest { user_id, items }).await.map(drop)
        }
        _ => client.delete_user(DeleteUserRequest { user_id }).await.map(drop),
    }
}

/// One life of the server, which a kill ends: watchers resume, compare, and follow what comes.
async fn round(
    plan: &Plan,
    random: &mut StdRng,
    newest: &Arc<AtomicU64>,
    mut followers: Vec<Follower>,
) -> Vec<Follower> {
    let node = plan.start().unwrap_or_else(|ended| panic!("it does not start: {ended:#?}"));
    let mut clients = node.clients(FOLLOWERS).await;
    for (follower, client) in followers.iter_mut().zip(&mut clients) {
        follower.compare(client).await;
    }
    let wanted = ANSWERS_MIN + random.random_range(0..ANSWERS_MORE);
    let kill = Arc::new(Kill { answers: AtomicU64::new(0), wanted, now: Notify::new() });
    let mut following = JoinSet::new();
    for (follower, client) in followers.into_iter().zip(&clients) {
        following.spawn(follower.follow(client.clone()));
    }
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        let client = clients[number as usize % FOLLOWERS].clone();
        let random = StdRng::seed_from_u64(random.random());
        writing.spawn(write(client, random, Arc::clone(newest), Arc::clone(&kill)));
    }
    kill.now.notified().await;
    let ended = node.kill();
    assert_eq!(ended.status.code(), None, "{:#?}", ended.log);
    writing.join_all().await;
    following.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_37_watchers_resume_exactly_after_kill_upon_kill() {
    let (seed, begun) = (seed(), Instant::now());
    let (kills, kills_per_disk) = either((50, 25), (1_000, 100));
    let mut random = StdRng::seed_from_u64(seed);
    let mut events = 0;
    for _ in 0..kills / kills_per_disk {
        let data = TempDir::new().expect("there is room for a directory");
        let newest = Arc::new(AtomicU64::new(1_000));
        let mut followers: Vec<Follower> = (0..FOLLOWERS).map(|_| Follower::new(USERS)).collect();
        for _ in 0..kills_per_disk {
            let entries = ["200000", "600", "30"][random.random_range(0..3)];
            let flush_after = ["30s", "1s", "50ms"][random.random_range(0..3)];
            let queue = ["16384", "100"][random.random_range(0..2)];
            let flags = [
                ["--durability", DURABILITY],
                ["--cache-entries", entries],
                ["--flush-after", flush_after],
                ["--max-watch-queue", queue],
            ];
            let plan = Plan::new(data.path(), flags.as_flattened());
            followers = round(&plan, &mut random, &newest, followers).await;
        }
        events += followers.iter().map(|follower| follower.events).sum::<u64>();
    }
    assert!(events > 1_000 * kills_per_disk, "only {events} events");
    println!("{kills} kills, {events} events in {:?}", begun.elapsed());
}
