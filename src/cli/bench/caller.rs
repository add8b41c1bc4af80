//! One caller of a unary method: it calls, waits for the answer, and calls again.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;

use super::{
    bells::Bell,
    deck::{Card, Deck},
    link::{Caller, Callers, Link},
    pace::Pace,
    recorder::{Recorder, Sent},
    slice::named,
};
use crate::{
    cli::failure::{code_name, is_unreachable},
    proto::{ApplyRequest, ListRequest, OperationResult},
};

/// After a server could not be reached a caller waits so long before it calls again.
pub const PAUSE: Duration = Duration::from_millis(50);

/// What became of the operations of a call that was answered.
#[derive(Debug, Default, PartialEq)]
pub struct Done {
    /// How many were done.
    pub operations: u64,
    /// What was wrong with each of the others.
    pub failed: Vec<String>,
}

impl Done {
    fn of(operations: usize) -> Self {
        Self { operations: operations as u64, failed: Vec::new() }
    }

    /// Of a batch of so many operations.
    pub fn of_results(results: &[OperationResult], operations: usize) -> Result<Self, Status> {
        if results.len() != operations {
            let count = results.len();
            let message = format!("{count} results for {operations} operations");
            return Err(Status::internal(message));
        }
        let failed: Vec<_> = results.iter().filter(|result| result.code != 0).collect();
        let kind = |result: &OperationResult| {
            named(code_name(Code::from_i32(result.code)), &result.reason)
        };
        Ok(Self {
            operations: (operations - failed.len()) as u64,
            failed: failed.into_iter().map(kind).collect(),
        })
    }
}

/// What a caller needs.
pub struct Calls {
    /// The connection.
    pub link: Link,
    /// What is called.
    pub deck: Deck,
    /// Operations in a call; more than one are an `Apply`.
    pub batch: usize,
    /// When.
    pub pace: Rc<Pace>,
    /// Where the outcome goes.
    pub recorder: Rc<Recorder>,
}

impl Calls {
    /// Calls until the run is over.
    pub async fn make(mut self) {
        let (mut callers, bell) = (self.link.callers(), Bell::default());
        while let Some(meant_for) = self.pace.next(&bell).await {
            let asked = if self.batch > 1 {
                let now = Instant::now();
                Asked::Batch(ApplyRequest { operations: self.deck.operations(self.batch, now) })
            } else {
                Asked::Card(self.deck.card(Instant::now()))
            };
            let operations = asked.operations();
            let sent = self.recorder.sent(meant_for, operations as u64);
            let done = asked.ask(&mut callers).await;
            self.note(sent, operations, done).await;
        }
    }

    async fn note(&self, sent: Sent, operations: usize, done: Result<Done, Status>) {
        match done {
            Ok(done) => self.recorder.answered(sent, done.operations, &done.failed),
            Err(status) => {
                self.recorder.failed(sent, operations as u64, &status);
                if !self.gives_up_after(&status) && is_unreachable(&status) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Ends the run of this thread where the server does not serve what is called at all.
    pub fn gives_up_after(&self, status: &Status) -> bool {
        let gives_up = status.code() == Code::Unimplemented;
        if gives_up {
            self.recorder.refuse(status);
            self.pace.stop(Instant::now());
        }
        gives_up
    }
}

/// What goes out in one call.
enum Asked {
    Card(Card),
    Batch(ApplyRequest),
}

impl Asked {
    fn operations(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.operations.len(),
            Self::Card(Card::FanOut(fan_out)) => fan_out.user_ids.len(),
            Self::Card(_) => 1,
        }
    }

    async fn ask(self, callers: &mut Callers) -> Result<Done, Status> {
        let operations = self.operations();
        let states = &mut callers.states;
        match self {
            Self::Card(Card::Ack(ack)) => drop(states.ack(ack).await?),
            Self::Card(Card::Increment(increment)) => drop(states.increment(increment).await?),
            Self::Card(Card::FanOut(fan_out)) => drop(states.fan_out(fan_out).await?),
            Self::Card(Card::SignIn(user_id)) => sign_in(states, user_id).await?,
            Self::Card(Card::Health) => {
                drop(callers.health.check(HealthCheckRequest::default()).await?);
            }
            Self::Batch(batch) => {
                let answer = states.apply(batch).await?.into_inner();
                return Done::of_results(&answer.results, operations);
            }
        }
        Ok(Done::of(operations))
    }
}

/// Lists all pages.
async fn sign_in(states: &mut Caller, user_id: u64) -> Result<(), Status> {
    let mut request = ListRequest { user_id, ..ListRequest::default() };
    loop {
        let page = states.list(request.clone()).await?.into_inner();
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_batch_are_told_apart() {
        let wrong = |code, reason: &str| OperationResult {
            code,
            reason: reason.to_owned(),
            ..OperationResult::default()
        };
        let results = [wrong(0, ""), wrong(8, "DIRTY_LIMIT"), wrong(10, "")];
        let done = Done::of_results(&results, 3).unwrap();
        assert_eq!(done.operations, 1);
        assert_eq!(done.failed, ["RESOURCE_EXHAUSTED DIRTY_LIMIT", "ABORTED"]);
        assert!(Done::of_results(&results, 4).is_err());
    }
}
