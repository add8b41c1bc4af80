//! Clients that change states all the time, and remember what they were answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::proto::{
    AckPinsRequest, AckRequest, IncrementRequest, MarkUnreadRequest, ReadState, ResetRequest,
    RetractRequest,
};
use tokio::{sync::Notify, task::JoinHandle};

use crate::server::{Client, Server};

/// User, type, channel: as states are ordered.
pub type Place = (u64, i32, u64);

/// States of so many users in so many channels each, with mentions of every kind.
pub async fn fill(client: &mut Client, users: u64, channels: u64) {
    let mut rng = StdRng::seed_from_u64(users * 1_000 + channels);
    for (user, channel) in (1..=users).flat_map(|u| (1..=channels).map(move |c| (u, c))) {
        let ack = AckRequest {
            user_id: user,
            channel_id: channel,
            message_id: 1,
            ..AckRequest::default()
        };
        client.ack(ack).await.expect("it is acked");
        change(client, &mut rng, (user, 1, channel)).await;
    }
}

/// Changes something about a state, if it can; the state after it.
pub async fn change(client: &mut Client, rng: &mut StdRng, place: Place) -> Option<ReadState> {
    let (user_id, r#type, channel_id) = place;
    let message_id = rng.random_range(1..1_000);
    let done = match rng.random_range(0..10) {
        0..3 => {
            let flags = rng.random_bool(0.2).then(|| rng.random());
            let last_viewed_day = rng.random_bool(0.2).then(|| rng.random());
            let request = AckRequest {
                user_id,
                r#type,
                channel_id,
                message_id,
                flags,
                last_viewed_day,
                ..AckRequest::default()
            };
            client.ack(request).await.map(|answer| answer.into_inner().state)
        }
        3..7 => {
            let request = IncrementRequest {
                user_id,
                r#type,
                channel_id,
                message_id,
                ..IncrementRequest::default()
            };
            client.increment(request).await.map(|answer| answer.into_inner().state)
        }
        7 => {
            let mention_count = rng.random_bool(0.5).then_some(3);
            let request = MarkUnreadRequest {
                user_id,
                r#type,
                channel_id,
                message_id,
                mention_count,
                ..MarkUnreadRequest::default()
            };
            client.mark_unread(request).await.map(|answer| answer.into_inner().state)
        }
        8 => {
            let pinned_at_ms = rng.random_range(1..1 << 40);
            let request = AckPinsRequest { user_id, r#type, channel_id, pinned_at_ms };
            client.ack_pins(request).await.map(|answer| answer.into_inner().state)
        }
        _ if rng.random_bool(0.5) => {
            let request = ResetRequest { user_id, r#type, channel_id, expected_version: None };
            client.reset(request).await.map(|answer| answer.into_inner().state)
        }
        _ => {
            let request = RetractRequest { channel_id, message_id, user_ids: vec![user_id] };
            client.retract(request).await.map(|_| None)
        }
    };
    done.expect("the server takes it")
}

/// Writers under way.
pub struct Writers {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    called: Arc<Notify>,
    tasks: Vec<JoinHandle<Versions>>,
}

/// Of each state, every version that somebody was answered with.
pub type Versions = BTreeMap<Place, Vec<u64>>;

impl Writers {
    /// So many, each with users of its own.
    pub async fn start(server: &Server, writers: u64, seed: u64) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let called = Arc::new(Notify::new());
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let mut client = server.client().await;
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(writer));
            let (stop, calls, called) = (stop.clone(), calls.clone(), called.clone());
            tasks.push(tokio::spawn(async move {
                let mut versions = Versions::new();
                while !stop.load(Ordering::Relaxed) {
                    let user = rng.random_range(0..30) * writers + writer + 1;
                    let kind = if rng.random_bool(0.1) { 2 } else { 1 };
                    let place = (user, kind, rng.random_range(1..=20));
                    if let Some(state) = change(&mut client, &mut rng, place).await {
                        versions.entry(place).or_default().push(state.version);
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                    called.notify_waiters();
                }
                versions
            }));
        }
        Self { stop, calls, called, tasks }
    }

    /// Waits for so many more calls.
    pub async fn make(&self, calls: u64) {
        let wanted = self.calls.load(Ordering::Relaxed) + calls;
        loop {
            let called = self.called.notified();
            if self.calls.load(Ordering::Relaxed) >= wanted {
                return;
            }
            called.await;
        }
    }

    pub async fn stop(self) -> Versions {
        self.stop.store(true, Ordering::Relaxed);
        let mut versions = Versions::new();
        for task in self.tasks {
            versions.append(&mut task.await.expect("it does not panic"));
        }
        versions
    }
}
