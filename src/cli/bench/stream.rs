//! One caller of `ApplyStream`: messages go out while earlier ones are not yet answered.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    time::Instant,
};

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    bells::Bell,
    caller::{Calls, Done, PAUSE},
    link::Caller,
    recorder::Sent,
};
use crate::proto::{ApplyStreamRequest, ApplyStreamResponse};

/// Sends batches over a stream until the run is over, with at most `pipeline` under way. Where the
/// stream breaks, what was under way has failed, and another one is opened.
pub async fn converse(mut calls: Calls, pipeline: usize) {
    loop {
        let talk = Talk::new(pipeline);
        let ended = talk.hold(&mut calls).await;
        let status = ended.err().unwrap_or_else(|| Status::internal("answers are missing"));
        for message in talk.under_way.take() {
            calls.recorder.failed(message.sent, calls.batch as u64, &status);
        }
        if talk.over.get() || calls.gives_up_after(&status) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One stream.
struct Talk {
    /// Oldest first: the server answers in order.
    under_way: RefCell<VecDeque<Message>>,
    /// One for each message that may go out.
    places: Semaphore,
    pipeline: usize,
    /// Nothing more is to be sent.
    over: Cell<bool>,
}

/// A message that went out.
struct Message {
    sequence: u64,
    sent: Sent,
}

impl Talk {
    fn new(pipeline: usize) -> Self {
        let (under_way, over) = Default::default();
        Self { under_way, places: Semaphore::new(pipeline), pipeline, over }
    }

    /// Ends when the server ends the stream: after the last answer, if all is well.
    async fn hold(&self, calls: &mut Calls) -> Result<(), Status> {
        let (messages, outgoing) = mpsc::channel(self.pipeline);
        let caller = calls.link.caller();
        let calls = RefCell::new(calls);
        tokio::select! {
            biased;
            never = self.send(&calls, messages) => match never {},
            ended = self.receive(&calls, caller, outgoing) => ended,
        }
    }

    async fn send(
        &self,
        calls: &RefCell<&mut Calls>,
        messages: mpsc::Sender<ApplyStreamRequest>,
    ) -> Infallible {
        let (bell, pace) = (Bell::default(), calls.borrow().pace.clone());
        let mut sequence = 0;
        while let Ok(place) = self.places.acquire().await {
            let Some(meant_for) = pace.next(&bell).await else { break };
            place.forget();
            sequence += 1;
            let message = self.message(&mut calls.borrow_mut(), sequence, meant_for);
            if messages.send(message).await.is_err() {
                // The stream has ended: the other half hears why.
                return pending().await;
            }
        }
        self.over.set(true);
        drop(messages);
        pending().await
    }

    fn message(&self, calls: &mut Calls, sequence: u64, meant_for: Instant) -> ApplyStreamRequest {
        let operations = calls.deck.operations(calls.batch, Instant::now());
        let sent = calls.recorder.sent(meant_for, calls.batch as u64);
        self.under_way.borrow_mut().push_back(Message { sequence, sent });
        ApplyStreamRequest { sequence, operations }
    }

    async fn receive(
        &self,
        calls: &RefCell<&mut Calls>,
        mut caller: Caller,
        outgoing: mpsc::Receiver<ApplyStreamRequest>,
    ) -> Result<(), Status> {
        let mut answers = caller.apply_stream(ReceiverStream::new(outgoing)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            self.note(&calls.borrow(), &answer)?;
            self.places.add_permits(1);
        }
        Ok(())
    }

    fn note(&self, calls: &Calls, answer: &ApplyStreamResponse) -> Result<(), Status> {
        let oldest = self.under_way.borrow_mut().pop_front();
        let Some(message) = oldest.filter(|message| message.sequence == answer.sequence) else {
            let sequence = answer.sequence;
            return Err(Status::internal(format!("answer {sequence} came out of turn")));
        };
        match Done::of_results(&answer.results, calls.batch) {
            Ok(done) => {
                calls.recorder.answered(message.sent, done.operations, &done.failed);
            }
            Err(status) => {
                calls.recorder.failed(message.sent, calls.batch as u64, &status);
            }
        }
        Ok(())
    }
}
