//! Playing: workers take steps from the feed and make the calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tonic::Status;

use super::{crew::Crew, feed::Feed, operation::Operation, schedule::Step, tally::Tally};
use crate::{
    cli::target::Client,
    proto::{AckRequest, FanOutRequest},
};

/// What was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// Messages in the trace.
    pub messages: u64,
    /// What the server answered.
    pub tally: Tally,
    /// How long it took.
    pub elapsed: Duration,
}

/// Plays everything that `feed` gives; ends early if there is too much trouble.
pub async fn play(crew: &Arc<Crew>, feed: Feed) -> (Tally, Duration) {
    let begun = Instant::now();
    let feed = Arc::new(feed);
    // A leaf lock, held for one count; the calls around it take a thousand times as long.
    let tally = Arc::new(Mutex::new(Tally::default()));
    crew.run(|crew, client| work(crew, client, feed.clone(), tally.clone())).await;
    let tally = tally.lock().clone();
    (tally, begun.elapsed())
}

async fn work(crew: Arc<Crew>, client: Client, feed: Arc<Feed>, tally: Arc<Mutex<Tally>>) {
    while let Some(chunk) = feed.next().await {
        let steps = chunk.len() as u64;
        for step in chunk {
            if crew.trouble.is_stopped() {
                return;
            }
            perform(&crew, &client, &step, &tally).await;
        }
        crew.bar.inc(steps);
    }
}

async fn perform(crew: &Crew, client: &Client, step: &Step, tally: &Mutex<Tally>) {
    match crew.persist(|| send(client.clone(), &step.operation)).await {
        Ok(latency) => tally.lock().record(step, latency),
        Err(error) => crew.trouble.call_failed(&step.operation, error),
    }
}

/// Makes the call of an operation once and says how long the answer took.
async fn send(mut client: Client, operation: &Operation) -> Result<Duration, Status> {
    let sent_at = Instant::now();
    match operation {
        Operation::Ack { user, channel, message } => {
            let ack = AckRequest {
                user_id: *user,
                channel_id: *channel,
                message_id: *message,
                ..AckRequest::default()
            };
            client.ack(ack).await?;
        }
        Operation::FanOut { channel, message, users } => {
            let fan_out = FanOutRequest {
                channel_id: *channel,
                message_id: *message,
                user_ids: users.to_vec(),
                initial_acked_id: None,
            };
            client.fan_out(fan_out).await?;
        }
    }
    Ok(sent_at.elapsed())
}
