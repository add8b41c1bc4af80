//! `ApplyStream`: messages are made in order, one after the other; while one waits until it is
//! durable the next are made already, so that a caller who sends ahead does not wait for each.

use std::{future, sync::Arc};

use futures_util::{Stream, StreamExt as _, future::Either, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch::Receiver};
use tonic::{Status, Streaming};

use super::{
    batch::{self, Batch},
    limits::{Limits, check_items},
    reason::Reason,
    status::{Failure, reason_of_tonic},
};
use crate::{
    engine::{ACCESSES_PER_TURN, Engine, leave_turn},
    lifecycle::{Phase, State},
    proto::{ApplyStreamRequest, ApplyStreamResponse},
};

/// Messages of one stream that are made and not yet answered. A caller who does not read its
/// answers is not read either.
const MESSAGES_AHEAD_MAX: usize = 8;

/// What comes in.
struct Incoming {
    engine: Arc<Engine>,
    messages: Streaming<ApplyStreamRequest>,
    limits: Limits,
    state: Receiver<State>,
    /// Room for operations that are made and not yet answered: as many as one message may have, so
    /// that only small messages are made ahead.
    room: Arc<Semaphore>,
    /// Operations made since others had their turn.
    made: usize,
}

/// A message whose operations are made, and the room that it takes until it is answered.
struct Made {
    sequence: u64,
    batch: Batch,
    room: OwnedSemaphorePermit,
}

/// The answers to `messages`, in their order. The first error is the end.
pub(super) fn answers(
    engine: Arc<Engine>,
    messages: Streaming<ApplyStreamRequest>,
    limits: Limits,
    state: Receiver<State>,
) -> impl Stream<Item = Result<ApplyStreamResponse, Status>> + Send {
    let incoming = Incoming::new(Arc::clone(&engine), messages, limits, state);
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
    // An answer that waits for those before it keeps its room.
    answers.buffered(MESSAGES_AHEAD_MAX).map(|answer| answer.map(|(answer, _room)| answer))
}

type Answer = (ApplyStreamResponse, OwnedSemaphorePermit);

async fn answer(engine: Arc<Engine>, made: Made) -> Result<Answer, Status> {
    let results = batch::results(&engine, made.batch).await;
    Ok((ApplyStreamResponse { sequence: made.sequence, results }, made.room))
}

/// Of so many operations.
fn permits(operations: usize, limits: &Limits) -> u32 {
    u32::try_from(operations.clamp(1, limits.items.max(1))).unwrap_or(u32::MAX)
}

impl Incoming {
    fn new(
        engine: Arc<Engine>,
        messages: Streaming<ApplyStreamRequest>,
        limits: Limits,
        state: Receiver<State>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(permits(usize::MAX, &limits) as usize));
        Self { engine, messages, limits, state, room, made: 0 }
    }

    /// Makes the next message; `None` at the end.
    async fn next(&mut self) -> Result<Option<Made>, Status> {
        // A stream has no end of its own: it would hold up that of the server.
        let draining = self.state.wait_for(|state| state.phase >= Phase::Draining);
        let message = tokio::select! {
            biased;
            _ = draining => return Err(drained().into()),
            message = self.messages.message() => message.map_err(with_reason)?,
        };
        let Some(ApplyStreamRequest { sequence, operations }) = message else { return Ok(None) };
        check_items("operations", operations.len(), self.limits.items)?;
        self.made += operations.len();
        if self.made > ACCESSES_PER_TURN {
            self.made = 0;
            leave_turn().await;
        }
        let room = Arc::clone(&self.room);
        let room = room.acquire_many_owned(permits(operations.len(), &self.limits)).await;
        let room = room.map_err(|_| drained())?;
        let batch = batch::apply(&self.engine, &operations).await;
        Ok(Some(Made { sequence, batch, room }))
    }
}

fn with_reason(status: Status) -> Status {
    reason_of_tonic(&status).map_or(status, Status::from)
}

fn drained() -> Failure {
    let message = "this server is shutting down; send what was not answered to another one, or to \
                   this one anew";
    Failure::new(Reason::Draining, message)
}
