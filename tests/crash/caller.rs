//! One of several clients of the same state.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedMutRandom as _};
use readstates::proto::{
    AckRequest, BulkAckItem, BulkAckRequest, DeleteRequest, FanOutRequest, GetRequest,
    IncrementRequest, ListRequest, MarkUnreadRequest, MentionOutcome, ResetRequest, RetractRequest,
    operation::Operation,
};
use tokio::sync::{Notify, watch};
use tonic::{Code, Response, Status};

use crate::{
    acts::Act,
    answered::{Call, Told},
    calls::send,
    checker::Answer,
    linearize::Span,
    node::Client,
    verdict::{Verdict, verdict},
};

/// Few, so that calls meet.
const MESSAGES: u64 = 30;
const CHANNEL: u64 = 1;

/// The server as clients see it: from one life to the next.
#[derive(Clone)]
pub struct Life {
    pub number: u64,
    pub clients: Vec<Client>,
    /// When the life before it was over, by the clock of the calls.
    pub begun: u64,
}

/// What all clients share.
pub struct Shared {
    pub clock: AtomicU64,
    pub answered: AtomicU64,
    /// Answers after which the server is to be killed.
    pub kill_at: AtomicU64,
    pub kill: Notify,
    pub lives: watch::Receiver<Life>,
}

impl Shared {
    /// The next moment of the clock.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn answered(&self) {
        if self.answered.fetch_add(1, Ordering::SeqCst) + 1 == self.kill_at.load(Ordering::SeqCst) {
            self.kill.notify_one();
        }
    }
}

/// One of the clients of a state.
pub struct Caller {
    user: u64,
    rng: StdRng,
    /// The newest version it was told.
    version: u64,
    spans: Spans,
}

/// The calls about one state, in any order.
pub type Spans = Arc<Mutex<Vec<Span<Call>>>>;

impl Caller {
    /// A client that writes its calls down among those of the others.
    pub fn new(user: u64, seed: u64, spans: &Spans) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { user, rng, version: 0, spans: Arc::clone(spans) }
    }

    /// Reads the state, from a server that is not going to be killed.
    pub async fn read(&self, client: &mut Client, shared: &Shared) {
        let begun = shared.tick();
        let told = self.get(client).await.expect("a server that lives answers");
        let call = Call { act: None, told };
        self.spans.lock().push(Span { call, begun, ended: shared.tick(), answered: true });
    }

    /// Makes so many calls, over all lives of the server.
    pub async fn run(mut self, shared: Arc<Shared>, calls: u64) {
        let mut lives = shared.lives.clone();
        for _ in 0..calls {
            let mut life = lives.borrow_and_update().clone();
            let client = life.clients.choose_mut(&mut self.rng).expect("there are some");
            let begun = shared.tick();
            let Some(call) = self.call(client).await else { continue };
            let ended = shared.tick();
            if !matches!(call.told, Told::Nothing) {
                self.spans.lock().push(Span { call, begun, ended, answered: true });
                shared.answered();
                continue;
            }
            let next = lives.wait_for(|next| next.number > life.number).await;
            let ended = next.expect("the server is started again").begun;
            self.spans.lock().push(Span { call, begun, ended, answered: false });
        }
    }

    /// Makes a call; nothing where it was refused and so never was.
    async fn call(&mut self, client: &mut Client) -> Option<Call> {
        let (act, told) = match self.rng.random_range(0..20) {
            0..=3 => (None, self.get(client).await),
            4 => (None, self.list(client).await),
            5 => self.fan_out(client).await,
            6 => self.retract(client).await,
            7 => self.bulk_ack(client).await,
            _ => {
                let operation = self.operation();
                let told = send(client, &operation).await.map(Told::Answer);
                (Some(Act::Operation(operation)), told)
            }
        };
        let told = match told {
            Ok(told) => told,
            Err(status) => match verdict(&status) {
                Verdict::Refused => return None,
                Verdict::Mismatched { current } => Told::Mismatched { current },
                Verdict::Unknown => Told::Nothing,
                Verdict::Wrong => panic!("{act:?}: {status:?}"),
            },
        };
        self.version = told.version().unwrap_or(self.version);
        Some(Call { act, told })
    }

    fn message(&mut self) -> u64 {
        self.rng.random_range(1..=MESSAGES)
    }

    /// At times none, at times what this client believes, at times "must not exist".
    fn guard(&mut self) -> Option<u64> {
        match self.rng.random_range(0..8) {
            0..=2 => Some(self.version),
            3 => Some(0),
            _ => None,
        }
    }

    fn operation(&mut self) -> Operation {
        let (user_id, channel_id, expected_version) = (self.user, CHANNEL, self.guard());
        let message_id = self.message();
        let count = self.rng.random_range(0..5);
        match self.rng.random_range(0..12) {
            0..=2 => Operation::Ack(AckRequest {
                user_id,
                channel_id,
                message_id,
                flags: self.rng.random_bool(0.2).then_some(count),
                expected_version,
                ..AckRequest::default()
            }),
            3..=5 => Operation::Increment(self.mention(message_id)),
            6 => Operation::Increment(IncrementRequest {
                user_id,
                channel_id,
                count,
                ..IncrementRequest::default()
            }),
            7..=8 => Operation::MarkUnread(MarkUnreadRequest {
                user_id,
                channel_id,
                message_id: message_id - 1,
                mention_count: self.rng.random_bool(0.5).then_some(count),
                expected_version,
                ..MarkUnreadRequest::default()
            }),
            9..=10 => Operation::Reset(ResetRequest {
                user_id,
                channel_id,
                expected_version,
                ..ResetRequest::default()
            }),
            _ => Operation::Delete(DeleteRequest {
                user_id,
                channel_id,
                expected_version,
                ..DeleteRequest::default()
            }),
        }
    }

    fn mention(&self, message_id: u64) -> IncrementRequest {
        let (user_id, channel_id) = (self.user, CHANNEL);
        IncrementRequest { user_id, channel_id, message_id, ..IncrementRequest::default() }
    }

    async fn get(&self, client: &mut Client) -> Result<Told, Status> {
        let (user_id, channel_id) = (self.user, CHANNEL);
        let request = GetRequest { user_id, channel_id, ..GetRequest::default() };
        match client.get(request).await {
            Ok(response) => Ok(Told::Shown(response.into_inner().state)),
            Err(status) if status.code() == Code::NotFound => Ok(Told::Shown(None)),
            Err(status) => Err(status),
        }
    }

    async fn list(&self, client: &mut Client) -> Result<Told, Status> {
        let request = ListRequest { user_id: self.user, ..ListRequest::default() };
        let states = client.list(request).await?.into_inner().states;
        Ok(Told::Shown(states.first().copied()))
    }

    async fn fan_out(&mut self, client: &mut Client) -> (Option<Act>, Result<Told, Status>) {
        let message_id = self.message();
        let act = Act::Operation(Operation::Increment(self.mention(message_id)));
        let request = FanOutRequest {
            channel_id: CHANNEL,
            message_id,
            user_ids: vec![self.user],
            initial_acked_id: None,
        };
        let told = client.fan_out(request).await.map(Response::into_inner).map(|told| {
            let (changed, outcome) = match (told.incremented, told.duplicate) {
                (1, _) => (true, MentionOutcome::Incremented),
                (_, 1) => (false, MentionOutcome::Duplicate),
                _ => (false, MentionOutcome::AlreadyRead),
            };
            Told::Outcome { changed, outcome }
        });
        (Some(act), told)
    }

    async fn retract(&mut self, client: &mut Client) -> (Option<Act>, Result<Told, Status>) {
        let message_id = self.message();
        let request = RetractRequest { channel_id: CHANNEL, message_id, user_ids: vec![self.user] };
        let told = client.retract(request).await.map(|response| Told::Outcome {
            changed: response.into_inner().retracted == 1,
            outcome: MentionOutcome::Unspecified,
        });
        (Some(Act::Retract(message_id)), told)
    }

    async fn bulk_ack(&mut self, client: &mut Client) -> (Option<Act>, Result<Told, Status>) {
        let (user_id, channel_id, message_id) = (self.user, CHANNEL, self.message());
        let ack = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
        let items = vec![BulkAckItem { channel_id, message_id, ..BulkAckItem::default() }];
        let answered = client.bulk_ack(BulkAckRequest { user_id, items }).await;
        let told = answered.and_then(|response| {
            let result = response.into_inner().results.into_iter().next().expect("one item");
            if result.code != Code::Ok as i32 {
                return Err(Status::new(Code::from_i32(result.code), result.reason));
            }
            let outcome = MentionOutcome::Unspecified;
            Ok(Told::Answer(Answer { state: result.state, changed: result.changed, outcome }))
        });
        (Some(Act::Operation(Operation::Ack(ack))), told)
    }
}
