//! All states of a server in order, as `Dump` streams them: taken up again where the stream breaks.

use std::{cell::Cell, time::Duration};

use indicatif::ProgressBar;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{
    failure::{Failure, describe},
    kind,
    output::complain,
    retry::{CallError, is_passing, persist},
    target::{Line, Target},
};
use crate::proto::{
    DumpRequest, DumpResponse, Key, StateRecord,
    maintenance_service_client::MaintenanceServiceClient,
};

/// The generated client of the other service.
pub type MaintenanceClient = MaintenanceServiceClient<Line>;

/// Longest time until an answer begins, and until each part of it is there. Before the first one of
/// a dump or a check is a flush.
const CALL_DEADLINE: Duration = Duration::from_secs(120);
/// States are in order of this.
pub type Place = (u64, i32, u64);

/// Connects to the server when it is first called.
pub fn maintenance(target: &Target) -> Result<MaintenanceClient, Failure> {
    Ok(MaintenanceClient::new(target.connect_lazily(CALL_DEADLINE)?))
}

/// A key, to be read.
pub fn key_text(key: &Key) -> String {
    let kind = kind::name(key.r#type());
    format!("user {}, {kind} {}", key.user_id, key.channel_id)
}

/// Where a state is in the order.
pub fn place(state: &StateRecord) -> Place {
    (state.user_id, state.r#type, state.channel_id)
}

/// An answer, or a part of one. The channel's own deadline ends with the headers, which come at
/// once.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = || Err(Status::deadline_exceeded(format!("no answer within {CALL_DEADLINE:?}")));
    timeout(CALL_DEADLINE, answer).await.unwrap_or_else(|_| late())
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(status) | CallError::GaveUp(status) => status.into(),
        }
    }
}

/// A walk over the states of a server.
pub struct Walk {
    client: MaintenanceClient,
    retry_for: Duration,
    request: DumpRequest,
    stream: Option<Streaming<DumpResponse>>,
    bar: ProgressBar,
    /// States that were skipped, as their rows are damaged.
    skipped: u64,
    /// The first failure that is tried again is told.
    told: Cell<bool>,
}

impl Walk {
    /// A walk that goes on where `request` says. What goes wrong is told above `bar`.
    pub fn new(
        client: MaintenanceClient,
        retry_for: Duration,
        request: DumpRequest,
        bar: ProgressBar,
    ) -> Self {
        Self { client, retry_for, request, stream: None, bar, skipped: 0, told: Cell::new(false) }
    }

    /// The version of the line that the dump was drawn at, once the first answer is there.
    pub fn version(&self) -> u64 {
        self.request.version
    }

    /// States that were left out so far, as their rows are damaged. Each was told.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Some more states, or none for now; `None` after the last.
    pub async fn step(&mut self) -> Result<Option<Vec<StateRecord>>, Failure> {
        loop {
            let answer = match &mut self.stream {
                None => Ok(self.open().await?),
                Some(stream) => in_time(stream.message()).await,
            };
            match answer {
                Ok(Some(answer)) => return self.take(answer).map(Some),
                Ok(None) if self.request.version == 0 => {
                    return Err(Failure::Contract("Dump says nothing at all".to_owned()));
                }
                Ok(None) => return Ok(None),
                // The next stream has to answer once before this counts as no failure any more.
                Err(status) if is_passing(&status) => {
                    self.tell(&status);
                    self.stream = None;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Opens a stream behind what is had already, and takes its first answer.
    async fn open(&mut self) -> Result<Option<DumpResponse>, Failure> {
        let call = || {
            let (mut client, request) = (self.client.clone(), self.request);
            async move {
                let mut stream = client.dump(request).await?.into_inner();
                let first = in_time(stream.message()).await?;
                Ok((stream, first))
            }
        };
        let (stream, first) = persist(self.retry_for, call, |status| self.tell(status)).await?;
        self.stream = Some(stream);
        Ok(first)
    }

    fn tell(&self, status: &Status) {
        if !self.told.replace(true) {
            let text = format!("readstates: {}; trying again", describe(status));
            self.bar.suspend(|| complain(&text));
        }
    }

    fn take(&mut self, answer: DumpResponse) -> Result<Vec<StateRecord>, Failure> {
        let contract = |what: &str| Err(Failure::Contract(format!("Dump {what}")));
        if self.request.version == 0 {
            self.request.version = answer.version;
        }
        if answer.version == 0 || answer.version != self.request.version {
            return contract("changes its version");
        }
        let mut last =
            self.request.after.as_ref().map(|key| (key.user_id, key.r#type, key.channel_id));
        for state in &answer.states {
            if last.is_some_and(|last| place(state) <= last) {
                return contract("repeats or misplaces a state");
            }
            last = Some(place(state));
        }
        for key in &answer.damaged {
            let text = format!("readstates: skipped {}: its row is damaged", key_text(key));
            self.bar.suspend(|| complain(&text));
            self.skipped += 1;
            last = last.max(Some((key.user_id, key.r#type, key.channel_id)));
        }
        let key = |(user_id, kind, channel_id)| Key { user_id, channel_id, r#type: kind };
        self.request.after = last.map(key);
        Ok(answer.states)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_waited_for_no_longer_than_the_deadline() {
        let late = in_time(std::future::pending::<Result<(), Status>>()).await;
        let late = late.expect_err("it is late");
        assert!(late.code() == Code::DeadlineExceeded && is_passing(&late), "{late:?}");
        in_time(async { Ok(()) }).await.expect("it is there");
    }
}
