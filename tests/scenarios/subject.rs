//! One read state under test, over the wire, in the words of the scenarios.

use readstates::proto::{
    self, AckPinsRequest, AckRequest, DeleteRequest, FanOutRequest, GetRequest, IncrementRequest,
    MarkUnreadRequest, MentionOutcome, ReadState, ReadStateType, ResetRequest, RetractRequest,
};
use tonic::{Code, Status};

use crate::ground::{Client, Node};

pub use MentionOutcome::{AlreadyRead, Duplicate, Incremented};

/// The state of `user` in `channel`, of one type. Before every call it is pushed out of a small
/// cache, so that the call has to load it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub node: &'a Node,
    pub user: u64,
    pub channel: u64,
    pub kind: i32,
}

/// A changing call's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub state: Option<ReadState>,
    pub changed: bool,
    pub outcome: MentionOutcome,
}

impl Answer {
    /// Watermark and count, which most scenarios are about.
    pub fn position(&self) -> (u64, u32) {
        let state = self.state.as_ref().expect("the answer has a state");
        (state.last_acked_id, state.mention_count)
    }

    pub fn version(&self) -> u64 {
        self.state.as_ref().expect("the answer has a state").version
    }
}

/// What every change must answer: the state that was asked for, of a type that is never 0.
macro_rules! answer {
    ($response:expr) => {
        answer!($response, |_| MentionOutcome::Unspecified)
    };
    ($response:expr, $outcome:expr) => {{
        let response = $response?.into_inner();
        let outcome = $outcome(&response);
        Ok(Answer { state: response.state, changed: response.changed, outcome })
    }};
}

impl<'a> Subject<'a> {
    pub fn new(node: &'a Node, user: u64, channel: u64) -> Self {
        Self { node, user, channel, kind: ReadStateType::Unspecified.into() }
    }

    pub fn of_kind(self, kind: ReadStateType) -> Self {
        Self { kind: kind.into(), ..self }
    }

    pub fn in_channel(self, channel: u64) -> Self {
        Self { channel, ..self }
    }

    pub fn of_user(self, user: u64) -> Self {
        Self { user, ..self }
    }

    async fn client(&self) -> Client {
        self.node.push_out().await;
        self.node.client()
    }

    pub fn ack_request(&self, message_id: u64) -> AckRequest {
        AckRequest {
            user_id: self.user,
            channel_id: self.channel,
            message_id,
            r#type: self.kind,
            ..AckRequest::default()
        }
    }

    pub fn increment_request(&self, message_id: u64) -> IncrementRequest {
        IncrementRequest {
            user_id: self.user,
            channel_id: self.channel,
            message_id,
            r#type: self.kind,
            ..IncrementRequest::default()
        }
    }

    pub fn mark_unread_request(&self, message_id: u64, count: Option<u32>) -> MarkUnreadRequest {
        MarkUnreadRequest {
            user_id: self.user,
            channel_id: self.channel,
            message_id,
            mention_count: count,
            r#type: self.kind,
            ..MarkUnreadRequest::default()
        }
    }

    pub fn reset_request(&self) -> ResetRequest {
        ResetRequest {
            user_id: self.user,
            channel_id: self.channel,
            r#type: self.kind,
            ..ResetRequest::default()
        }
    }

    pub fn delete_request(&self) -> DeleteRequest {
        DeleteRequest {
            user_id: self.user,
            channel_id: self.channel,
            r#type: self.kind,
            ..DeleteRequest::default()
        }
    }

    pub fn pins_request(&self, pinned_at_ms: u64) -> AckPinsRequest {
        AckPinsRequest {
            user_id: self.user,
            channel_id: self.channel,
            pinned_at_ms,
            r#type: self.kind,
        }
    }

    pub async fn try_ack(&self, request: AckRequest) -> Result<Answer, Status> {
        answer!(self.client().await.ack(request).await)
    }

    pub async fn try_increment(&self, request: IncrementRequest) -> Result<Answer, Status> {
        let outcome = |response: &proto::IncrementResponse| response.outcome();
        answer!(self.client().await.increment(request).await, outcome)
    }

    pub async fn try_mark_unread(&self, request: MarkUnreadRequest) -> Result<Answer, Status> {
        answer!(self.client().await.mark_unread(request).await)
    }

    pub async fn try_reset(&self, request: ResetRequest) -> Result<Answer, Status> {
        answer!(self.client().await.reset(request).await)
    }

    pub async fn try_delete(&self, request: DeleteRequest) -> Result<Answer, Status> {
        answer!(self.client().await.delete(request).await)
    }

    pub async fn ack(&self, message_id: u64) -> Answer {
        self.try_ack(self.ack_request(message_id)).await.expect("an ack")
    }

    pub async fn mention(&self, message_id: u64) -> Answer {
        self.try_increment(self.increment_request(message_id)).await.expect("a mention")
    }

    pub async fn mention_from(&self, message_id: u64, initial_acked_id: u64) -> Answer {
        let mut request = self.increment_request(message_id);
        request.initial_acked_id = Some(initial_acked_id);
        self.try_increment(request).await.expect("a mention")
    }

    pub async fn increment(&self, count: u32) -> Answer {
        let request = IncrementRequest { count, ..self.increment_request(0) };
        self.try_increment(request).await.expect("an increment")
    }

    pub async fn mark_unread(&self, message_id: u64, count: Option<u32>) -> Answer {
        let request = self.mark_unread_request(message_id, count);
        self.try_mark_unread(request).await.expect("a rewind")
    }

    pub async fn reset(&self) -> Answer {
        self.try_reset(self.reset_request()).await.expect("a reset")
    }

    pub async fn delete(&self) -> Answer {
        self.try_delete(self.delete_request()).await.expect("a deletion")
    }

    pub async fn ack_pins(&self, pinned_at_ms: u64) -> Answer {
        let response = self.client().await.ack_pins(self.pins_request(pinned_at_ms)).await;
        let answer: Result<Answer, Status> = (|| answer!(response))();
        answer.expect("an ack of pins")
    }

    /// Whether the mention was taken back.
    pub async fn retract(&self, message_id: u64) -> bool {
        let user_ids = vec![self.user];
        let request = RetractRequest { channel_id: self.channel, message_id, user_ids };
        let response = self.client().await.retract(request).await.expect("a retraction");
        response.into_inner().retracted == 1
    }

    /// Counts of users incremented, duplicate, already read.
    pub async fn fan_out(&self, message_id: u64, user_ids: &[u64]) -> (u32, u32, u32) {
        let request = FanOutRequest {
            channel_id: self.channel,
            message_id,
            user_ids: user_ids.to_vec(),
            initial_acked_id: None,
        };
        let response = self.client().await.fan_out(request).await.expect("a fan-out").into_inner();
        (response.incremented, response.duplicate, response.already_read)
    }

    /// The state; `None` where there is none.
    pub async fn get(&self) -> Option<ReadState> {
        let request =
            GetRequest { user_id: self.user, channel_id: self.channel, r#type: self.kind };
        match self.client().await.get(request).await {
            Ok(response) => Some(response.into_inner().state.expect("found is answered")),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status}"),
        }
    }

    pub async fn state(&self) -> ReadState {
        self.get().await.expect("there is a state")
    }

    /// Watermark and count as `Get` answers them.
    pub async fn position(&self) -> (u64, u32) {
        let state = self.state().await;
        (state.last_acked_id, state.mention_count)
    }

    /// Several mentions by id.
    pub async fn mentions(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.mention(id).await;
        }
    }
}
