//! Making every key resident before a run: an ack of each, of a message older than any other. It
//! creates the states that are not there yet and changes none that is.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use tonic::Status;

use super::{caller::Done, keys::Keys, plan::Plan};
use crate::{
    cli::{
        failure::Failure,
        retry::persist,
        target::{Client, Target},
    },
    proto::{AckRequest, ApplyRequest, Operation, operation::Operation as Kind},
};

/// Keys in one call; a server takes ten times as many by default.
const BATCH_KEYS: u64 = 1_000;
/// Calls under way at a time.
const CONCURRENCY: usize = 8;
/// Longest time that a call may take, and that it is tried again when the server is away.
const CALL_DEADLINE: Duration = Duration::from_secs(60);
/// The message that every user has read.
const MESSAGE: u64 = 1;
/// A server that takes no more changes until some are written is asked again after this ...
const PAUSE: Duration = Duration::from_millis(200);
/// ... for so long, with every batch.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes every key of `plan` resident.
pub async fn fill(plan: &Plan, target: &Target, bar: &ProgressBar) -> Result<(), Failure> {
    let client = Client::new(target.connect_lazily(CALL_DEADLINE)?);
    bar.set_length(plan.keys());
    let keys = Keys::new(plan);
    let batches = stream::iter((0..plan.keys()).step_by(BATCH_KEYS as usize)).map(|first| {
        let places = first..(first + BATCH_KEYS).min(plan.keys());
        let client = &client;
        async move {
            let count = places.end - places.start;
            settle(client, places.map(|place| ack(keys.at(place))).collect()).await?;
            bar.inc(count);
            Ok::<_, Failure>(())
        }
    });
    let mut filled = batches.buffer_unordered(CONCURRENCY);
    while let Some(batch) = filled.next().await {
        batch?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn ack((user_id, channel_id): (u64, u64)) -> Operation {
    let ack = AckRequest { user_id, channel_id, message_id: MESSAGE, ..AckRequest::default() };
    Operation { operation: Some(Kind::Ack(ack)) }
}

/// Sends a batch until all of it is done: twice is the same as once.
async fn settle(client: &Client, operations: Vec<Operation>) -> Result<(), Failure> {
    let begun = Instant::now();
    let request = ApplyRequest { operations };
    loop {
        let done =
            persist(CALL_DEADLINE, || apply(client.clone(), request.clone()), |_| ()).await?;
        let Some(kind) = done.failed.first() else { return Ok(()) };
        if begun.elapsed() > PATIENCE {
            let failed = done.failed.len();
            let message = format!("{failed} keys were refused for {PATIENCE:?}: {kind}");
            return Err(Status::resource_exhausted(message).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn apply(mut client: Client, request: ApplyRequest) -> Result<Done, Status> {
    let operations = request.operations.len();
    let answer = client.apply(request).await?.into_inner();
    Done::of_results(&answer.results, operations)
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Mix, *};
    use crate::cli::fake::Fake;

    #[tokio::test]
    async fn every_key_is_acked_once_and_passing_failures_are_no_matter() {
        let fake = Fake::default();
        let server = fake.start("127.0.0.1:0");
        fake.fail(vec![Status::unavailable("draining")]);
        let target = Target { url: server.address.to_string(), ..Target::default() };
        let plan = Plan { users: 300, channels: 7, ..Plan::small(Mix::Ack) };
        let bar = ProgressBar::hidden();
        fill(&plan, &target, &bar).await.unwrap();
        let watermarks = fake.watermarks();
        assert_eq!(watermarks.len(), 2_100);
        assert!(watermarks.values().all(|acked| *acked == MESSAGE));
        assert_eq!((fake.calls(), bar.position()), (4, 2_100));
    }
}
