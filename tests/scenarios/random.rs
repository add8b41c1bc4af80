//! Random operations on few users and channels against plain sets of ids, with a cache too small
//! for them and restarts in between.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::proto::{
    self, AckRequest, ListRequest, MentionOutcome, Operation, OperationResult, ReadState,
    ReadStateType, RestoreItem, RestoreRequest, operation::Operation as Of,
};
use tonic::Status;

use crate::{
    apply::apply,
    bulk::{bulk_ack, item},
    ground::{Ground, Node},
    naive::{Naive, Shown},
    paging::{list_all, list_pages},
    subject::{Answer, Subject},
};

const SEEDS: u64 = 100;
const SEEDS_ON_DISK: u64 = 8;
const STEPS: usize = 60;
const USERS: u64 = 3;
const PLACES: u64 = 4;
/// Fewer ids than a ledger holds.
const IDS: u64 = 60;

/// User, and place in the order of `List`: channels, and then one state of another type.
type Place = (u64, u64);

/// The server under test and what it must be like.
struct Trial {
    node: Node,
    rng: StdRng,
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

fn subject(node: &Node, (user, place): Place) -> Subject<'_> {
    if place == PLACES {
        return Subject::new(node, user, 1).of_kind(ReadStateType::GuildHome);
    }
    Subject::new(node, user, place)
}

fn place_of(state: &ReadState) -> u64 {
    if state.r#type() == ReadStateType::GuildHome { PLACES } else { state.channel_id }
}

/// One operation by its own call, answered as `Apply` would.
async fn call(subject: &Subject<'_>, of: Of) -> OperationResult {
    let answered: Result<Answer, Status> = match of {
        Of::Ack(request) => subject.try_ack(request).await,
        Of::Increment(request) => subject.try_increment(request).await,
        Of::Reset(request) => subject.try_reset(request).await,
        Of::MarkUnread(request) => subject.try_mark_unread(request).await,
        Of::AckPins(request) => Ok(subject.ack_pins(request.pinned_at_ms).await),
        Of::Delete(request) => subject.try_delete(request).await,
    };
    let answer = answered.expect("no operation of this test can fail");
    let state = answer.state.unwrap_or_default();
    OperationResult {
        version: state.version,
        mention_count: state.mention_count,
        last_acked_id: state.last_acked_id,
        changed: answer.changed,
        outcome: answer.outcome.into(),
        ..OperationResult::default()
    }
}

impl Trial {
    fn place(&mut self) -> Place {
        (self.rng.random_range(1..=USERS), self.rng.random_range(1..=PLACES))
    }

    fn id(&mut self) -> u64 {
        self.rng.random_range(1..=IDS)
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
        self.rng.random_bool(0.3).then(|| value(&mut self.rng))
    }

    fn operation(&mut self, place: Place) -> Of {
        let id = self.id();
        let small = self.rng.random_range(0..5);
        let count = self.maybe(|rng| rng.random_range(0..9));
        let given = self.maybe(|rng| rng.random());
        let initial = self.maybe(|rng| rng.random_range(0..IDS));
        let chosen = self.rng.random_range(0..20);
        let subject = subject(&self.node, place);
        match chosen {
            0..=4 => Of::Ack(AckRequest {
                flags: given,
                last_viewed_day: count,
                ..subject.ack_request(id)
            }),
            5..=12 => Of::Increment(proto::IncrementRequest {
                initial_acked_id: initial,
                ..subject.increment_request(id)
            }),
            13 => Of::Increment(proto::IncrementRequest {
                count: small,
                ..subject.increment_request(0)
            }),
            14 => Of::Reset(subject.reset_request()),
            15..=17 => Of::MarkUnread(subject.mark_unread_request(id - 1, count)),
            18 => Of::AckPins(subject.pins_request(id)),
            _ => Of::Delete(subject.delete_request()),
        }
    }

    /// Several operations, in one message or one by one.
    async fn operate(&mut self) {
        let mut planned = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let place = self.place();
            planned.push((place, self.operation(place)));
        }
        let results = if self.rng.random_bool(0.5) {
            let wrap = |(_, of): &(Place, Of)| Operation { operation: Some(*of) };
            apply(&self.node, planned.iter().map(wrap).collect()).await
        } else {
            let mut results = Vec::new();
            for (place, of) in &planned {
                results.push(call(&subject(&self.node, *place), *of).await);
            }
            results
        };
        for ((place, of), result) in planned.into_iter().zip(results) {
            self.check(place, of, &result);
        }
    }

    fn check(&mut self, place: Place, of: Of, result: &OperationResult) {
        let state = self.states.entry(place).or_default();
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
        self.check_version(place.0, result.version, changed);
    }

    fn check_version(&mut self, user: u64, version: u64, changed: bool) {
        let newest = self.newest.entry(user).or_default();
        assert!(!changed || version > *newest, "version {version} after {newest}");
        *newest = version.max(*newest);
    }

    async fn fan_out(&mut self) {
        let (channel, id) = (self.rng.random_range(1..PLACES), self.id());
        let users: Vec<u64> = (0..5).map(|_| self.rng.random_range(1..=USERS)).collect();
        let counts = Subject::new(&self.node, 1, channel).fan_out(id, &users).await;
        let mut expected = (0, 0, 0);
        for user in distinct(users) {
            let mention = Subject::new(&self.node, user, channel).increment_request(id);
            let state = self.states.entry((user, channel)).or_default();
            match state.apply(&Of::Increment(mention)).1 {
                MentionOutcome::Incremented => expected.0 += 1,
                MentionOutcome::Duplicate => expected.1 += 1,
                _ => expected.2 += 1,
            }
        }
        assert_eq!(counts, expected, "fan-out of {id} in {channel}");
    }

    async fn retract(&mut self) {
        let (user, channel, id) =
            (self.rng.random_range(1..=USERS), self.rng.random_range(1..PLACES), self.id());
        let expected = self.states.entry((user, channel)).or_default().retract(id);
        assert_eq!(Subject::new(&self.node, user, channel).retract(id).await, expected);
    }

    /// Acks many channels of a user and perhaps takes that back.
    async fn bulk_ack(&mut self) {
        let user = self.rng.random_range(1..=USERS);
        let acks: Vec<(u64, u64)> = (1..PLACES).map(|channel| (channel, self.id())).collect();
        let items = acks.iter().map(|(channel, id)| item(*channel, *id)).collect();
        let results = bulk_ack(&self.node, user, items).await;
        let undo = self.rng.random_bool(0.5);
        let mut undoing = Vec::new();
        let mut versions = Vec::new();
        for ((channel, id), result) in acks.into_iter().zip(results) {
            let place = (user, channel);
            let before = self.states.entry(place).or_default().clone();
            let ack = subject(&self.node, place).ack_request(id);
            let state = self.states.entry(place).or_default();
            let (changed, _) = state.apply(&Of::Ack(ack));
            let previous = (result.previous_last_acked_id, result.previous_mention_count);
            assert_eq!(previous, (before.watermark, before.count()));
            assert_eq!((result.changed, result.previous_marked_unread), (changed, before.dot));
            let answered = result.state.as_ref().expect("a state per item");
            assert_eq!(Shown::from(answered), state.shown(), "{before:?}");
            if undo && changed {
                state.undo_ack(&before);
                undoing.push((place, undo_of(&result)));
            }
            versions.push((answered.version, changed));
        }
        // The items of one call are done in any order.
        versions.sort_unstable();
        for (version, changed) in versions {
            self.check_version(user, version, changed);
        }
        self.undo(undoing).await;
    }

    async fn undo(&mut self, undoing: Vec<(Place, RestoreItem)>) {
        let states = undoing.iter().map(|(_, item)| *item).collect();
        let response = self.node.client().restore(RestoreRequest { states }).await;
        let results = response.expect("a repair").into_inner().results;
        for ((place, item), result) in undoing.into_iter().zip(results) {
            let answered = result.state.as_ref().expect("a state per item");
            assert_eq!(result.code, 0);
            assert_eq!(Shown::from(answered), self.states[&place].shown(), "{item:?}");
            self.check_version(place.0, answered.version, result.changed);
        }
    }

    async fn delete_user(&mut self) {
        let user = self.rng.random_range(1..=USERS);
        let mut expected = 0;
        for (_, state) in self.states.range_mut((user, 0)..(user + 1, 0)) {
            expected += u32::from(state.exists);
            *state = Naive::default();
        }
        let request = proto::DeleteUserRequest { user_id: user };
        let response = self.node.client().delete_user(request).await.expect("a deletion");
        assert_eq!(response.into_inner().deleted, expected, "states of user {user}");
    }

    async fn delete_channel(&mut self) {
        let channel_id = self.rng.random_range(1..PLACES);
        let mut expected = 0;
        for user in 1..=USERS {
            let state = self.states.entry((user, channel_id)).or_default();
            expected += u32::from(state.exists);
            *state = Naive::default();
        }
        let request = proto::DeleteChannelRequest { channel_id, user_ids: (1..=USERS).collect() };
        let response = self.node.client().delete_channel(request).await.expect("a deletion");
        assert_eq!(response.into_inner().deleted, expected, "states in {channel_id}");
    }

    /// Compares everything there is with what there must be, as a list and as deltas followed.
    async fn compare(&mut self) {
        for user in 1..=USERS {
            let page_size = self.rng.random_range(1..4);
            let listed = list_all(&self.node, user, page_size).await;
            let shown = listed.states.iter().map(|state| (place_of(state), Shown::from(state)));
            let states = self.states.range((user, 0)..(user + 1, 0));
            let expected: Vec<_> = states
                .filter(|(_, state)| state.exists)
                .map(|((_, place), state)| (*place, state.shown()))
                .collect();
            assert_eq!(shown.collect::<Vec<_>>(), expected, "user {user}");
            let follower = self.followers.entry(user).or_default();
            follower.catch_up(&self.node, user, page_size).await;
            assert!(follower.held.values().eq(&listed.states), "deltas of user {user}");
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..40) {
            0..=25 => self.operate().await,
            26..=29 => self.fan_out().await,
            30..=32 => self.retract().await,
            33..=35 => self.bulk_ack().await,
            36 => self.delete_user().await,
            37 => self.delete_channel().await,
            _ => self.compare().await,
        }
    }
}

impl Follower {
    async fn catch_up(&mut self, node: &Node, user_id: u64, page_size: i32) {
        let request =
            ListRequest { user_id, since_version: self.version, ..ListRequest::default() };
        let answer = list_pages(node, request, || page_size).await;
        if !answer.delta {
            self.held.clear();
        }
        self.held.extend(answer.states.iter().map(|state| (place_of(state), *state)));
        self.held.retain(|_, state| !state.deleted);
        self.version = answer.version;
    }
}

fn distinct(mut users: Vec<u64>) -> Vec<u64> {
    users.sort_unstable();
    users.dedup();
    users
}

fn undo_of(result: &proto::BulkAckResult) -> RestoreItem {
    let state = result.state.as_ref().expect("the item was done");
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

async fn try_seed(ground: Ground, seed: u64) {
    println!("seed {seed}");
    let mut trial = Trial {
        node: ground.start().await,
        rng: StdRng::seed_from_u64(seed),
        states: BTreeMap::new(),
        newest: BTreeMap::new(),
        followers: BTreeMap::new(),
    };
    for _ in 0..STEPS {
        trial.step().await;
        if trial.rng.random_bool(0.04) {
            trial.node = trial.node.restart().await;
        }
    }
    trial.node = trial.node.restart().await;
    trial.compare().await;
    trial.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_plain_sets_in_a_tiny_cache() {
    let first = rand::random::<u32>();
    for nth in 0..SEEDS {
        let ground = if nth % 10 == 0 { Ground::roomy() } else { Ground::tiny() };
        try_seed(ground, u64::from(first) + nth).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_plain_sets_on_disk() {
    let first = rand::random::<u32>();
    for nth in 0..SEEDS_ON_DISK {
        try_seed(Ground::on_disk(), u64::from(first) + nth).await;
    }
}
