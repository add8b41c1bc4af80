//! Calls on few users and channels: a service whose cache is too small for them answers what plain
//! sets of ids answer, whatever is evicted, flushed or started anew in between.

use std::collections::BTreeMap;

use readstates::proto::{
    self, AckPinsRequest, AckRequest, ApplyRequest, BulkAckItem, BulkAckRequest, DeleteRequest,
    IncrementRequest, ListRequest, ListResponse, MarkUnreadRequest, MentionOutcome, Operation,
    OperationResult, ReadState, ReadStateType, ResetRequest, RestoreItem, RestoreRequest,
    operation::Operation as Of, read_states_service_server::ReadStatesService as _,
};
use tonic::Request;

use crate::{
    draw::Draw,
    ground::{Ground, runtime},
    naive::{Naive, Shown},
};

/// States in memory at most, of 15 that there are.
const ENTRIES: usize = 5;
const STEPS_MAX: usize = 64;
const USERS: u64 = 3;
/// Channels, and one state of another type behind them.
const PLACES: u64 = 5;
/// Fewer ids than a ledger holds.
const IDS: u64 = 60;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = runtime();
}

/// Steps of a trial, as they are drawn.
pub fn run(bytes: &[u8]) {
    RUNTIME.with(|runtime| runtime.block_on(attempt(Draw::new(bytes))));
}

/// Steps of each sort, twice.
pub fn seeds() -> Vec<Vec<u8>> {
    let step = |which: u8| [which, 3, 1, 2, 9, 0, 4, 1, 3, 2, 1, 7, 5, 0, 2, 6].to_vec();
    let each: Vec<Vec<u8>> = (0..16).map(step).collect();
    vec![each.concat(), each.iter().rev().cloned().collect::<Vec<_>>().concat()]
}

async fn attempt(mut draw: Draw<'_>) {
    let ground = Some(Ground::new(ENTRIES).await);
    let (states, newest, followers) = Default::default();
    let mut trial = Trial { ground, states, newest, followers };
    for _ in 0..STEPS_MAX {
        if draw.is_done() {
            break;
        }
        trial.step(&mut draw).await;
    }
    trial.compare(2).await;
    trial.restart().await;
    trial.compare(3).await;
}

/// User, and place in the order of `List`.
type Place = (u64, u64);

/// The service under test and what it must be like.
struct Trial {
    ground: Option<Ground>,
    states: BTreeMap<Place, Naive>,
    /// The newest version seen of each user.
    newest: BTreeMap<u64, u64>,
    followers: BTreeMap<u64, Follower>,
}

/// A client that keeps itself up to date by deltas.
#[derive(Default)]
struct Follower {
    version: u64,
    held: BTreeMap<u64, ReadState>,
}

/// A call of the service that only what the contract names can fail.
macro_rules! ask {
    ($trial:expr, $method:ident, $request:expr) => {
        $trial.service().$method(Request::new($request)).await.expect("it is valid").into_inner()
    };
}

impl Trial {
    fn service(&self) -> &readstates::rpc::Service {
        &self.ground.as_ref().expect("it is there but in a restart").service
    }

    async fn step(&mut self, draw: &mut Draw<'_>) {
        match draw.below(16) {
            0..=7 => self.operate(draw).await,
            8 => self.fan_out(draw).await,
            9 => self.retract(draw).await,
            10 | 11 => self.bulk_ack(draw).await,
            12 => self.delete_user(draw).await,
            13 => self.delete_channel(draw).await,
            14 => self.compare(1 + draw.below(4) as i32).await,
            _ => self.restart().await,
        }
        let ms = draw.below(4) * 10_000;
        self.ground.iter().for_each(|ground| ground.wait_ms(ms));
    }

    async fn restart(&mut self) {
        if let Some(ground) = self.ground.take() {
            self.ground = Some(ground.restart().await);
        }
    }

    /// Several operations, in one message or one by one.
    async fn operate(&mut self, draw: &mut Draw<'_>) {
        let (together, count) = (draw.flag(), 1 + draw.below(5));
        let planned: Vec<_> = (0..count).map(|_| operation(draw)).collect();
        let results = if together {
            let wrap = |(_, of): &(Place, Of)| Operation { operation: Some(*of) };
            let operations = planned.iter().map(wrap).collect();
            ask!(self, apply, ApplyRequest { operations }).results
        } else {
            let mut results = Vec::new();
            for (_, of) in &planned {
                results.push(self.call(*of).await);
            }
            results
        };
        assert_eq!(results.len(), planned.len());
        for ((place, of), result) in planned.into_iter().zip(results) {
            self.check(place, of, &result);
        }
    }

    /// One operation by its own call, answered as `Apply` would.
    async fn call(&self, of: Of) -> OperationResult {
        macro_rules! answered {
            ($method:ident, $request:expr) => {{
                let answer = ask!(self, $method, $request);
                (answer.state, answer.changed, MentionOutcome::Unspecified)
            }};
        }
        let (state, changed, outcome) = match of {
            Of::Ack(request) => answered!(ack, request),
            Of::Increment(request) => {
                let answer = ask!(self, increment, request);
                let outcome = answer.outcome();
                (answer.state, answer.changed, outcome)
            }
            Of::Reset(request) => answered!(reset, request),
            Of::MarkUnread(request) => answered!(mark_unread, request),
            Of::AckPins(request) => answered!(ack_pins, request),
            Of::Delete(request) => answered!(delete, request),
        };
        let state = state.unwrap_or_default();
        OperationResult {
            version: state.version,
            mention_count: state.mention_count,
            last_acked_id: state.last_acked_id,
            changed,
            outcome: outcome.into(),
            ..OperationResult::default()
        }
    }

    fn check(&mut self, place: Place, of: Of, result: &OperationResult) {
        let state = self.states.entry(place).or_default();
        let before = state.watermark;
        let (changed, outcome) = state.apply(&of);
        let expected = (0, changed, outcome, state.watermark, state.count());
        let answered = (
            result.code,
            result.changed,
            result.outcome(),
            result.last_acked_id,
            result.mention_count,
        );
        assert_eq!(answered, expected, "{place:?} {of:?}: {state:?}");
        let may_go_back = matches!(of, Of::MarkUnread(_) | Of::Delete(_));
        assert!(may_go_back || result.last_acked_id >= before, "{place:?} {of:?}: it went back");
        self.check_version(place.0, result.version, changed);
    }

    fn check_version(&mut self, user: u64, version: u64, changed: bool) {
        let newest = self.newest.entry(user).or_default();
        assert!(!changed || version > *newest, "version {version} after {newest}");
        *newest = version.max(*newest);
    }

    async fn fan_out(&mut self, draw: &mut Draw<'_>) {
        let (channel_id, message_id) = (channel(draw), id(draw));
        let user_ids: Vec<u64> = (0..4).map(|_| user(draw)).collect();
        let mut expected = proto::FanOutResponse::default();
        for user_id in distinct(&user_ids) {
            let mention =
                IncrementRequest { user_id, channel_id, message_id, ..Default::default() };
            let state = self.states.entry((user_id, channel_id)).or_default();
            match state.apply(&Of::Increment(mention)).1 {
                MentionOutcome::Incremented => expected.incremented += 1,
                MentionOutcome::Duplicate => expected.duplicate += 1,
                _ => expected.already_read += 1,
            }
        }
        let request =
            proto::FanOutRequest { channel_id, message_id, user_ids, initial_acked_id: None };
        assert_eq!(ask!(self, fan_out, request), expected, "{message_id} in {channel_id}");
    }

    async fn retract(&mut self, draw: &mut Draw<'_>) {
        let (user, channel_id, message_id) = (user(draw), channel(draw), id(draw));
        let expected = self.states.entry((user, channel_id)).or_default().retract(message_id);
        let request = proto::RetractRequest { channel_id, message_id, user_ids: vec![user] };
        assert_eq!(ask!(self, retract, request).retracted, u32::from(expected));
    }

    /// Acks the channels of a user and perhaps takes that back.
    async fn bulk_ack(&mut self, draw: &mut Draw<'_>) {
        let (user_id, undo) = (user(draw), draw.flag());
        let acks: Vec<(u64, u64)> = (1..PLACES).map(|channel| (channel, id(draw))).collect();
        let item = |(channel_id, message_id): &(u64, u64)| BulkAckItem {
            channel_id: *channel_id,
            message_id: *message_id,
            r#type: 0,
        };
        let request = BulkAckRequest { user_id, items: acks.iter().map(item).collect() };
        let results = ask!(self, bulk_ack, request).results;
        let (mut undoing, mut versions) = (Vec::new(), Vec::new());
        for ((channel_id, message_id), result) in acks.into_iter().zip(results) {
            let place = (user_id, channel_id);
            let state = self.states.entry(place).or_default();
            let before = state.clone();
            let ack = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
            let (changed, _) = state.apply(&Of::Ack(ack));
            let previous = (result.previous_last_acked_id, result.previous_mention_count);
            assert_eq!(previous, (before.watermark, before.count()));
            assert_eq!((result.changed, result.previous_marked_unread), (changed, before.dot));
            let answered = result.state.as_ref().expect("a state per item");
            assert_eq!(Shown::from(answered), state.shown(), "{before:?}");
            if undo && changed {
                state.undo_ack(&before);
                undoing.push((place, undo_of(&result, answered)));
            }
            versions.push((answered.version, changed));
        }
        // The items of one call are done in any order.
        versions.sort_unstable();
        for (version, changed) in versions {
            self.check_version(user_id, version, changed);
        }
        self.undo(undoing).await;
    }

    async fn undo(&mut self, undoing: Vec<(Place, RestoreItem)>) {
        let states = undoing.iter().map(|(_, item)| *item).collect();
        let results = ask!(self, restore, RestoreRequest { states }).results;
        for ((place, item), result) in undoing.into_iter().zip(results) {
            let answered = result.state.as_ref().expect("a state per item");
            assert_eq!(result.code, 0);
            assert_eq!(Shown::from(answered), self.states[&place].shown(), "{item:?}");
            self.check_version(place.0, answered.version, result.changed);
        }
    }

    async fn delete_user(&mut self, draw: &mut Draw<'_>) {
        let user_id = user(draw);
        let mut expected = 0;
        for (_, state) in self.states.range_mut((user_id, 0)..(user_id + 1, 0)) {
            expected += u32::from(state.exists);
            *state = Naive::default();
        }
        let deleted = ask!(self, delete_user, proto::DeleteUserRequest { user_id }).deleted;
        assert_eq!(deleted, expected, "states of user {user_id}");
    }

    async fn delete_channel(&mut self, draw: &mut Draw<'_>) {
        let channel_id = channel(draw);
        let mut expected = 0;
        for user in 1..=USERS {
            let state = self.states.entry((user, channel_id)).or_default();
            expected += u32::from(state.exists);
            *state = Naive::default();
        }
        let user_ids = (1..=USERS).collect();
        let request = proto::DeleteChannelRequest { channel_id, user_ids };
        assert_eq!(ask!(self, delete_channel, request).deleted, expected, "in {channel_id}");
    }

    /// Compares everything there is with what there must be, as a list and as deltas followed.
    async fn compare(&mut self, page_size: i32) {
        for user in 1..=USERS {
            let listed = self.list(user, 0, page_size).await;
            let shown = listed.states.iter().map(|state| (place_of(state), Shown::from(state)));
            let states = self.states.range((user, 0)..(user + 1, 0));
            let states = states.filter(|(_, state)| state.exists);
            let expected: Vec<_> =
                states.map(|((_, place), state)| (*place, state.shown())).collect();
            assert_eq!(shown.collect::<Vec<_>>(), expected, "user {user}");
            let since = self.followers.entry(user).or_default().version;
            let delta = self.list(user, since, page_size).await;
            let follower = self.followers.entry(user).or_default();
            follower.take(delta);
            assert!(follower.held.values().eq(&listed.states), "deltas of user {user}");
        }
    }

    /// All pages of a list as one.
    async fn list(&self, user_id: u64, since_version: u64, page_size: i32) -> ListResponse {
        let mut whole = ListResponse::default();
        loop {
            let page_token = std::mem::take(&mut whole.next_page_token);
            let unread_only = false;
            let asked = ListRequest { user_id, page_size, page_token, since_version, unread_only };
            let page = ask!(self, list, asked);
            assert!(page.states.len() <= page_size as usize, "more than asked for");
            assert!(whole.version == 0 || whole.version == page.version, "one of all pages");
            whole.states.extend(page.states);
            (whole.version, whole.delta) = (page.version, page.delta);
            whole.next_page_token = page.next_page_token;
            if whole.next_page_token.is_empty() {
                return whole;
            }
        }
    }
}

impl Follower {
    fn take(&mut self, answer: ListResponse) {
        if !answer.delta {
            self.held.clear();
        }
        self.held.extend(answer.states.iter().map(|state| (place_of(state), *state)));
        self.held.retain(|_, state| !state.deleted);
        self.version = answer.version;
    }
}

fn operation(draw: &mut Draw<'_>) -> (Place, Of) {
    let place = (user(draw), 1 + draw.below(PLACES));
    let (user_id, channel_id, r#type) = named(place);
    let (which, message_id) = (draw.below(16), id(draw));
    let count = draw.byte();
    let maybe = |value: u8| (value & 1 == 1).then_some(u32::from(value / 2) % 9);
    let expected_version = None;
    let of = match which {
        0..=3 => {
            let (flags, last_viewed_day) = (maybe(count), maybe(draw.byte()));
            Of::Ack(AckRequest {
                user_id,
                channel_id,
                message_id,
                flags,
                last_viewed_day,
                expected_version,
                r#type,
            })
        }
        4..=8 => {
            let initial_acked_id = maybe(count).map(|low| u64::from(low) * 6);
            let request =
                IncrementRequest { user_id, channel_id, message_id, ..Default::default() };
            Of::Increment(IncrementRequest { initial_acked_id, r#type, ..request })
        }
        9 => {
            let count = u32::from(count % 5);
            Of::Increment(IncrementRequest {
                user_id,
                channel_id,
                count,
                r#type,
                ..Default::default()
            })
        }
        10 => Of::Reset(ResetRequest { user_id, channel_id, expected_version, r#type }),
        11..=13 => Of::MarkUnread(MarkUnreadRequest {
            user_id,
            channel_id,
            message_id: message_id - 1,
            mention_count: maybe(count),
            expected_version,
            r#type,
        }),
        14 => Of::AckPins(AckPinsRequest { user_id, channel_id, pinned_at_ms: message_id, r#type }),
        _ => Of::Delete(DeleteRequest { user_id, channel_id, expected_version, r#type }),
    };
    (place, of)
}

fn user(draw: &mut Draw<'_>) -> u64 {
    1 + draw.below(USERS)
}

fn channel(draw: &mut Draw<'_>) -> u64 {
    1 + draw.below(PLACES - 1)
}

fn id(draw: &mut Draw<'_>) -> u64 {
    1 + draw.below(IDS)
}

/// User, channel and type of a place.
fn named((user, place): Place) -> (u64, u64, i32) {
    match place {
        PLACES => (user, 1, ReadStateType::GuildHome.into()),
        channel => (user, channel, ReadStateType::Unspecified.into()),
    }
}

fn place_of(state: &ReadState) -> u64 {
    if state.r#type() == ReadStateType::GuildHome { PLACES } else { state.channel_id }
}

fn distinct(users: &[u64]) -> Vec<u64> {
    let mut users = users.to_vec();
    users.sort_unstable();
    users.dedup();
    users
}

fn undo_of(result: &proto::BulkAckResult, state: &ReadState) -> RestoreItem {
    RestoreItem {
        user_id: state.user_id,
        channel_id: state.channel_id,
        last_acked_id: result.previous_last_acked_id,
        mention_count: result.previous_mention_count,
        marked_unread: result.previous_marked_unread,
        expected_last_acked_id: Some(state.last_acked_id),
        ..RestoreItem::default()
    }
}
