//! The handlers of `ReadStatesService`, one per RPC.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    apply_stream,
    batch::{self, Batch, ItemError},
    decode, encode,
    limits::{Limits, check_items},
    status::{Failure, refused},
    watch,
};
use crate::{
    engine::{Access, Done, Engine, Error, ListQuery, Order},
    lifecycle::Lifecycle,
    model::{ChannelId, Key, MentionOutcome, Operation, Update, UserId, Version},
    proto::{self, read_states_service_server::ReadStatesService},
};

/// Users whose badges are counted at the same time in one call.
const CONCURRENT_SUMMARIES: usize = 16;

/// Answers calls from an engine.
pub struct Service {
    engine: Arc<Engine>,
    limits: Limits,
    lifecycle: Lifecycle,
}

type Answer<T> = Result<Response<T>, Status>;
type EventStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// A service over `engine` that refuses what is above `limits`. Its streams end once
    /// `lifecycle` drains.
    pub fn new(engine: Arc<Engine>, limits: Limits, lifecycle: Lifecycle) -> Self {
        Self { engine, limits, lifecycle }
    }

    async fn update(
        &self,
        decoded: Result<(Key, Update), Failure>,
    ) -> Result<(Option<proto::ReadState>, Done), Status> {
        let (key, update) = decoded?;
        let done = self.engine.update(key, update).await.map_err(refused)?;
        Ok((encode::state(&key, &done.view), done))
    }

    /// The same operation on this channel for each of these users; the first failure fails all,
    /// which is safe to retry. `each` is shown what was done.
    async fn update_members(
        &self,
        users: Vec<UserId>,
        channel: ChannelId,
        operation: Operation,
        mut each: impl FnMut(Done) + Send,
    ) -> Result<(), Status> {
        let access = Access::Update(operation.into());
        let accesses: Vec<(Key, Access)> =
            users.into_iter().map(|user| (Key::channel(user, channel), access)).collect();
        let made = self.engine.make_many(accesses, Order::Any).await;
        let mut failure = None;
        // To the end, failed or not: each that was refused is counted as it is shown.
        for (_, result) in self.engine.show_many(made).await {
            match result {
                Ok(done) => each(done),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), |error| Err(refused(error)))
    }

    fn members(&self, user_ids: &[u64]) -> Result<Vec<UserId>, Failure> {
        check_items("user_ids", user_ids.len(), self.limits.items)?;
        decode::users(user_ids)
    }
}

#[tonic::async_trait]
impl ReadStatesService for Service {
    async fn ack(&self, request: Request<proto::AckRequest>) -> Answer<proto::AckResponse> {
        let (state, done) = self.update(decode::ack(request.get_ref())).await?;
        Ok(Response::new(proto::AckResponse { state, changed: done.changed }))
    }

    async fn increment(
        &self,
        request: Request<proto::IncrementRequest>,
    ) -> Answer<proto::IncrementResponse> {
        let (state, done) = self.update(decode::increment(request.get_ref())).await?;
        let outcome = encode::outcome(done.outcome).into();
        Ok(Response::new(proto::IncrementResponse { state, changed: done.changed, outcome }))
    }

    async fn reset(&self, request: Request<proto::ResetRequest>) -> Answer<proto::ResetResponse> {
        let (state, done) = self.update(decode::reset(request.get_ref())).await?;
        // A tombstone is not shown: there is no state to reset.
        let state = state.filter(|state| !state.deleted);
        Ok(Response::new(proto::ResetResponse { state, changed: done.changed }))
    }

    async fn mark_unread(
        &self,
        request: Request<proto::MarkUnreadRequest>,
    ) -> Answer<proto::MarkUnreadResponse> {
        let (state, done) = self.update(decode::mark_unread(request.get_ref())).await?;
        Ok(Response::new(proto::MarkUnreadResponse { state, changed: done.changed }))
    }

    async fn ack_pins(
        &self,
        request: Request<proto::AckPinsRequest>,
    ) -> Answer<proto::AckPinsResponse> {
        let (state, done) = self.update(decode::ack_pins(request.get_ref())).await?;
        Ok(Response::new(proto::AckPinsResponse { state, changed: done.changed }))
    }

    async fn retract(
        &self,
        request: Request<proto::RetractRequest>,
    ) -> Answer<proto::RetractResponse> {
        let request = request.get_ref();
        let channel = decode::channel(request.channel_id)?;
        let operation = Operation::Retract { message: decode::message(request.message_id)? };
        let users = self.members(&request.user_ids)?;
        let mut answer = proto::RetractResponse::default();
        let count = |done: Done| answer.retracted += u32::from(done.changed);
        self.update_members(users, channel, operation, count).await?;
        Ok(Response::new(answer))
    }

    async fn fan_out(
        &self,
        request: Request<proto::FanOutRequest>,
    ) -> Answer<proto::FanOutResponse> {
        let request = request.get_ref();
        let channel = decode::channel(request.channel_id)?;
        let message = decode::message(request.message_id)?;
        let operation = Operation::Mention { message, initial_acked_id: request.initial_acked_id };
        let users = self.members(&request.user_ids)?;
        let mut answer = proto::FanOutResponse::default();
        let count = |done: Done| match done.outcome {
            Some(MentionOutcome::Incremented) => answer.incremented += 1,
            Some(MentionOutcome::Duplicate) => answer.duplicate += 1,
            Some(MentionOutcome::AlreadyRead) => answer.already_read += 1,
            None => {}
        };
        self.update_members(users, channel, operation, count).await?;
        Ok(Response::new(answer))
    }

    async fn get(&self, request: Request<proto::GetRequest>) -> Answer<proto::GetResponse> {
        let request = request.get_ref();
        let key = decode::key(request.user_id, request.channel_id, request.r#type)?;
        let done = self.engine.read(key).await.map_err(refused)?;
        let state = encode::existing(&key, &done.view)?;
        Ok(Response::new(proto::GetResponse { state: Some(state) }))
    }

    async fn batch_get(
        &self,
        request: Request<proto::BatchGetRequest>,
    ) -> Answer<proto::BatchGetResponse> {
        let keys = &request.get_ref().keys;
        check_items("keys", keys.len(), self.limits.keys)?;
        let decode = |(place, key): (usize, &proto::Key)| {
            decode::key(key.user_id, key.channel_id, key.r#type)
                .map_err(|failure| failure.within(&format!("keys[{place}]")))
        };
        let asked: Vec<Key> = keys.iter().enumerate().map(decode).collect::<Result<_, _>>()?;
        let accesses = asked.iter().map(|key| (*key, Access::Read)).collect();
        let results = self.engine.access_many(accesses, Order::Any).await;
        let mut answer = proto::BatchGetResponse::default();
        for (key, result) in asked.iter().zip(results) {
            match encode::existing(key, &result.map_err(refused)?.view) {
                Ok(state) => answer.states.push(state),
                Err(_) => answer.missing.push(encode::key(key)),
            }
        }
        Ok(Response::new(answer))
    }

    async fn list(&self, request: Request<proto::ListRequest>) -> Answer<proto::ListResponse> {
        let request = request.get_ref();
        decode::list_filters(request)?;
        let query = ListQuery {
            user: decode::user(request.user_id)?,
            page_size: decode::page_size(request.page_size, self.limits.page_size)?,
            page_token: &request.page_token,
            since: Version::from_micros(request.since_version),
            unread_only: request.unread_only,
        };
        let page = self.engine.list(query).await.map_err(refused)?;
        let states = page.rows.iter().filter_map(|(key, view)| encode::state(key, view)).collect();
        Ok(Response::new(proto::ListResponse {
            states,
            next_page_token: page.next_page_token,
            version: page.version.as_micros(),
            delta: page.delta,
        }))
    }

    async fn get_summary(
        &self,
        request: Request<proto::GetSummaryRequest>,
    ) -> Answer<proto::GetSummaryResponse> {
        let user_ids = &request.get_ref().user_ids;
        check_items("user_ids", user_ids.len(), self.limits.keys)?;
        let users = decode::users_in_order(user_ids)?;
        let counting = users.into_iter().map(|user| async move {
            let summary = self.engine.summary(user).await.map_err(refused)?;
            Ok::<_, Status>(proto::Summary {
                user_id: user.as_u64(),
                mention_count: summary.mention_count,
                channels_with_mentions: summary.channels_with_mentions,
                channels_marked_unread: summary.channels_marked_unread,
                version: summary.version.as_micros(),
            })
        });
        let mut counted = stream::iter(counting).buffered(CONCURRENT_SUMMARIES);
        let mut summaries = Vec::with_capacity(user_ids.len());
        while let Some(summary) = counted.next().await {
            summaries.push(summary?);
        }
        Ok(Response::new(proto::GetSummaryResponse { summaries }))
    }

    async fn bulk_ack(
        &self,
        request: Request<proto::BulkAckRequest>,
    ) -> Answer<proto::BulkAckResponse> {
        let request = request.get_ref();
        let user = decode::user(request.user_id)?;
        check_items("items", request.items.len(), self.limits.items)?;
        let decoded: Vec<_> =
            request.items.iter().map(|item| decode::bulk_ack(user, item)).collect();
        let acks: Vec<_> = decoded.iter().flatten().copied().collect();
        let mut acked = self.engine.bulk_ack(&acks).await.into_iter();
        let answer = |decoded: Result<(Key, _), Failure>| match decoded {
            Ok((key, _)) => {
                let result = acked.next().unwrap_or(Err(Error::TooManyLoads));
                encode::bulk_ack_result(Some(&key), result.map_err(Failure::from))
            }
            Err(failure) => encode::bulk_ack_result(None, Err(failure)),
        };
        let results = decoded.into_iter().map(answer).collect();
        Ok(Response::new(proto::BulkAckResponse { results }))
    }

    async fn restore(
        &self,
        request: Request<proto::RestoreRequest>,
    ) -> Answer<proto::RestoreResponse> {
        let states = &request.get_ref().states;
        check_items("states", states.len(), self.limits.items)?;
        let batch = Batch::make(&self.engine, states.iter().map(decode::restore)).await;
        let restored = batch.show(&self.engine).await;
        let answer = |result| match result {
            Ok((key, done)) => encode::restore_result(&key, Ok(done)),
            Err(ItemError::Engine(key, error)) => encode::restore_result(&key, Err(error)),
            Err(ItemError::Request(failure)) => encode::failed_restore(&failure),
        };
        let results = restored.map(answer).collect();
        Ok(Response::new(proto::RestoreResponse { results }))
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Answer<proto::DeleteResponse> {
        let (state, done) = self.update(decode::delete(request.get_ref())).await?;
        Ok(Response::new(proto::DeleteResponse { state, changed: done.changed }))
    }

    async fn delete_user(
        &self,
        request: Request<proto::DeleteUserRequest>,
    ) -> Answer<proto::DeleteUserResponse> {
        let user = decode::user(request.get_ref().user_id)?;
        let deleted = self.engine.delete_user(user).await.map_err(refused)?;
        Ok(Response::new(proto::DeleteUserResponse { deleted }))
    }

    async fn delete_channel(
        &self,
        request: Request<proto::DeleteChannelRequest>,
    ) -> Answer<proto::DeleteChannelResponse> {
        let request = request.get_ref();
        let channel = decode::channel(request.channel_id)?;
        let users = self.members(&request.user_ids)?;
        let mut answer = proto::DeleteChannelResponse::default();
        let count = |done: Done| answer.deleted += u32::from(done.changed);
        self.update_members(users, channel, Operation::Delete, count).await?;
        Ok(Response::new(answer))
    }

    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Answer<proto::ApplyResponse> {
        let operations = &request.get_ref().operations;
        check_items("operations", operations.len(), self.limits.items)?;
        let batch = batch::apply(&self.engine, operations).await;
        let results = batch::results(&self.engine, batch).await;
        Ok(Response::new(proto::ApplyResponse { results }))
    }

    type ApplyStreamStream = EventStream<proto::ApplyStreamResponse>;

    async fn apply_stream(
        &self,
        request: Request<Streaming<proto::ApplyStreamRequest>>,
    ) -> Answer<Self::ApplyStreamStream> {
        let messages = request.into_inner();
        let state = self.lifecycle.subscribe();
        let engine = Arc::clone(&self.engine);
        let answers = apply_stream::answers(engine, messages, self.limits, state);
        Ok(Response::new(Box::pin(answers)))
    }

    type WatchStream = EventStream<proto::WatchResponse>;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Self::WatchStream> {
        let targets = &request.get_ref().targets;
        check_items("targets", targets.len(), self.limits.items)?;
        let targets = decode::watch_targets(targets)?;
        let watch = self.engine.watch(targets).map_err(refused)?;
        let events = watch::events(watch, self.lifecycle.subscribe());
        Ok(Response::new(Box::pin(events)))
    }
}
