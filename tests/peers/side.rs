//! One of the sides, and what it answers with versions told apart from all else: they are times,
//! and so its own.

use std::collections::HashMap;

use readstates::proto::{
    ApplyRequest, ApplyStreamRequest, FanOutRequest, GetRequest, OperationResult, ReadState,
    operation::Operation as Kind, read_states_service_client::ReadStatesServiceClient,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::asked::{Act, Asked, Key, operation};

/// What a caller can compare: everything but versions, which are `same` or `newer`.
pub type Answer = Vec<String>;

/// A server, and the versions it has told.
pub struct Side {
    client: ReadStatesServiceClient<Channel>,
    versions: HashMap<Key, u64>,
    /// Of all states of a user.
    newest: HashMap<u64, u64>,
}

impl Side {
    pub async fn connect(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("it listens");
        let (versions, newest) = Default::default();
        Self { client: ReadStatesServiceClient::new(channel), versions, newest }
    }

    pub async fn ask(&mut self, asked: &Asked) -> Answer {
        match asked {
            Asked::Get(key) => vec![self.get(*key).await],
            Asked::Act(key, act) => vec![self.act(*key, act).await],
            Asked::FanOut { .. } => self.fan_out(asked).await,
            Asked::Apply(acts) => self.apply(acts).await,
            Asked::Stream(messages) => self.stream(messages).await,
        }
    }

    async fn get(&mut self, key: Key) -> String {
        let (user_id, channel_id, kind) = key;
        let request = GetRequest { user_id, channel_id, r#type: kind };
        match self.client.get(request).await {
            Ok(answer) => self.state(answer.into_inner().state),
            Err(status) => self.refusal(key, &status),
        }
    }

    async fn act(&mut self, key: Key, act: &Act) -> String {
        let kind = operation(key, act, self.version(key)).operation.expect("it is set");
        let answered = match kind {
            Kind::Ack(request) => self.client.ack(request).await.map(|answer| {
                let answer = answer.into_inner();
                (answer.state, answer.changed, 0)
            }),
            Kind::Increment(request) => self.client.increment(request).await.map(|answer| {
                let answer = answer.into_inner();
                (answer.state, answer.changed, answer.outcome)
            }),
            Kind::Reset(request) => self.client.reset(request).await.map(|answer| {
                let answer = answer.into_inner();
                (answer.state, answer.changed, 0)
            }),
            other => panic!("{other:?} is not asked"),
        };
        match answered {
            Ok((state, changed, outcome)) => {
                format!("{} changed {changed} outcome {outcome}", self.state(state))
            }
            Err(status) => self.refusal(key, &status),
        }
    }

    /// With the states that it leaves, whose versions it does not tell.
    async fn fan_out(&mut self, asked: &Asked) -> Answer {
        let Asked::FanOut { channel, message, users, initial } = asked else { return Vec::new() };
        let request = FanOutRequest {
            channel_id: *channel,
            message_id: *message,
            user_ids: users.clone(),
            initial_acked_id: *initial,
        };
        let mut answer = match self.client.fan_out(request).await {
            Ok(answer) => vec![format!("{:?}", answer.into_inner())],
            Err(status) => vec![self.refusal((0, 0, 0), &status)],
        };
        for user in users {
            answer.push(self.get((*user, *channel, 1)).await);
        }
        answer
    }

    async fn apply(&mut self, acts: &[(Key, Act)]) -> Answer {
        let request = ApplyRequest { operations: self.operations(acts) };
        match self.client.apply(request).await {
            Ok(answer) => self.results(acts, answer.into_inner().results),
            Err(status) => vec![self.refusal((0, 0, 0), &status)],
        }
    }

    async fn stream(&mut self, messages: &[Vec<(Key, Act)>]) -> Answer {
        let requests: Vec<_> = (1..)
            .zip(messages)
            .map(|(sequence, acts)| ApplyStreamRequest {
                sequence,
                operations: self.operations(acts),
            })
            .collect();
        let answers = self.client.apply_stream(tokio_stream::iter(requests)).await;
        let mut answers = answers.expect("it is served").into_inner();
        let mut answer = Vec::new();
        for acts in messages {
            let told = answers.message().await.expect("it goes on").expect("each is answered");
            answer.push(format!("sequence {}", told.sequence));
            answer.extend(self.results(acts, told.results));
        }
        assert!(answers.message().await.expect("it ends well").is_none());
        answer
    }

    fn operations(&self, acts: &[(Key, Act)]) -> Vec<readstates::proto::Operation> {
        acts.iter().map(|(key, act)| operation(*key, act, self.version(*key))).collect()
    }

    fn results(&mut self, acts: &[(Key, Act)], results: Vec<OperationResult>) -> Answer {
        assert_eq!(acts.len(), results.len());
        let told = acts.iter().zip(results);
        told.map(|((key, _), mut result)| {
            let version = std::mem::take(&mut result.version);
            format!("{result:?} version {}", self.told(*key, version))
        })
        .collect()
    }

    fn state(&mut self, state: Option<ReadState>) -> String {
        let Some(mut state) = state else { return "no state".to_owned() };
        let version = std::mem::take(&mut state.version);
        let key = (state.user_id, state.channel_id, state.r#type);
        format!("{state:?} version {}", self.told(key, version))
    }

    fn refusal(&mut self, key: Key, status: &Status) -> String {
        let info = status.get_details_error_info().expect("each has a reason");
        let current = info.metadata.get("current_version").map(|version| {
            let version = version.parse().expect("a version");
            self.told(key, version)
        });
        format!("{:?} {} {} {current:?}", status.code(), info.reason, info.domain)
    }

    fn version(&self, key: Key) -> u64 {
        self.versions.get(&named(key)).copied().unwrap_or(0)
    }

    /// Whether the side told this version before; if not, it is above all it told of the user.
    fn told(&mut self, key: Key, version: u64) -> &'static str {
        if version == 0 {
            return "none";
        }
        let newest = self.newest.entry(key.0).or_default();
        if self.versions.insert(named(key), version) == Some(version) {
            return "same";
        }
        assert!(version > *newest, "of {key:?} {version} came after {newest}");
        *newest = version;
        "newer"
    }
}

/// Type 0 means a channel.
fn named((user, channel, kind): Key) -> Key {
    (user, channel, kind.max(1))
}
