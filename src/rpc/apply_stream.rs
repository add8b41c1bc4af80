//! `ApplyStream`: messages are made in order, one after the other; while one waits until it is
//! durable the next are made already, so that a caller who sends ahead does not wait for each.

use std::{future, sync::Arc};

use futures_util::{Stream, StreamExt as _, future::Either, stream};
use tokio::sync::watch::Receiver;
use tonic::{Status, Streaming};

use super::{
    batch::{self, Batch},
    limits::{Limits, check_items},
    reason::Reason,
    status::Failure,
};
use crate::{
    engine::Engine,
    lifecycle::Phase,
    proto::{ApplyStreamRequest, ApplyStreamResponse},
};

/// Messages of one stream that are made and not yet answered. A caller who does not read its
/// answers is not read either.
const MESSAGES_AHEAD_MAX: usize = 8;

/// Operations of one stream after which others on its runtime get their turn (I1).
const OPERATIONS_PER_TURN: usize = 256;

/// What comes in.
struct Incoming {
    engine: Arc<Engine>,
    messages: Streaming<ApplyStreamRequest>,
    limits: Limits,
    phase: Receiver<Phase>,
    /// Operations made since others had their turn.
    made: usize,
}

/// A message whose operations are made.
struct Made {
    sequence: u64,
    batch: Batch,
}

/// The answers to `messages`, in their order. The first error is the end.
pub(super) fn answers(
    engine: Arc<Engine>,
    messages: Streaming<ApplyStreamRequest>,
    limits: Limits,
    phase: Receiver<Phase>,
) -> impl Stream<Item = Result<ApplyStreamResponse, Status>> + Send {
    let incoming = Incoming { engine: Arc::clone(&engine), messages, limits, phase, made: 0 };
    let made = stream::unfold(Some(incoming), |incoming| async {
        let mut incoming = incoming?;
        match incoming.next().await {
            Ok(Some(made)) => Some((Ok(made), Some(incoming))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    });
    let answers = made.map(move |made| match made {
        Ok(made) => Either::Left(answer(Arc::clone(&engine), made)),
        Err(status) => Either::Right(future::ready(Err(status))),
    });
    answers.buffered(MESSAGES_AHEAD_MAX)
}

async fn answer(engine: Arc<Engine>, made: Made) -> Result<ApplyStreamResponse, Status> {
    let results = batch::results(&engine, made.batch).await;
    Ok(ApplyStreamResponse { sequence: made.sequence, results })
}

impl Incoming {
    /// Makes the next message; `None` at the end.
    async fn next(&mut self) -> Result<Option<Made>, Status> {
        // A stream has no end of its own: it would hold up that of the server.
        let draining = self.phase.wait_for(|phase| *phase >= Phase::Draining);
        let message = tokio::select! {
            biased;
            _ = draining => return Err(drained().into()),
            message = self.messages.message() => message?,
        };
        let Some(ApplyStreamRequest { sequence, operations }) = message else { return Ok(None) };
        check_items("operations", operations.len(), self.limits.items)?;
        self.made += operations.len();
        if self.made > OPERATIONS_PER_TURN {
            self.made = 0;
            tokio::task::yield_now().await;
        }
        let batch = batch::apply(&self.engine, &operations).await;
        Ok(Some(Made { sequence, batch }))
    }
}

fn drained() -> Failure {
    let message = "this server is shutting down; send what was not answered to another one, or to \
                   this one anew";
    Failure::new(Reason::Draining, message)
}
