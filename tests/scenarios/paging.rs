//! Scenario 25: pages of a list without a gap or a repeat, and what a page is.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    proto::{BulkAckItem, ListRequest, ListResponse, ReadStateType},
    store::{Call, Moment},
};
use tokio::sync::watch;

use crate::{
    bulk::bulk_ack,
    errors::expect_invalid,
    ground::{Ground, Node, on_grounds},
    subject::Subject,
};

on_grounds!([roomy, narrow, narrow_on_disk] => [
    scenario_25_pages_have_no_gap_and_no_repeat_while_updates_go_on,
]);

mod small {
    use super::{
        a_full_last_page_is_the_last, a_stranger_has_an_empty_list, on_grounds, page_sizes,
        states_come_in_order_of_type_and_channel, unread_only_shows_mentions_and_dots,
    };

    on_grounds!([roomy, tiny, on_disk] => [
        a_full_last_page_is_the_last,
        a_stranger_has_an_empty_list,
        states_come_in_order_of_type_and_channel,
        unread_only_shows_mentions_and_dots,
    ]);
    on_grounds!([narrow] => [page_sizes]);
}

const CHANNELS: u64 = 10_000;
/// The most that one `BulkAck` takes.
const ITEMS_MAX: usize = 10_000;

pub async fn page(node: &Node, request: ListRequest) -> ListResponse {
    node.client().list(request).await.expect("a page").into_inner()
}

/// All pages of a list, whose sizes `sizes` gives, as one. Checks what must hold between them.
pub async fn list_pages(
    node: &Node,
    request: ListRequest,
    mut sizes: impl FnMut() -> i32,
) -> ListResponse {
    let mut whole: Option<ListResponse> = None;
    let mut page_token = String::new();
    loop {
        let page_size = sizes();
        let next = page(node, ListRequest { page_size, page_token, ..request.clone() }).await;
        assert!(next.states.len() <= page_size as usize, "more than asked for");
        page_token = next.next_page_token.clone();
        match &mut whole {
            None => whole = Some(next),
            Some(whole) => {
                assert_eq!((next.version, next.delta), (whole.version, whole.delta));
                whole.states.extend(next.states);
            }
        }
        if page_token.is_empty() {
            break;
        }
    }
    let whole = whole.expect("there is a first page");
    let order = |pair: &[_]| key_of(&pair[0]) < key_of(&pair[1]);
    assert!(whole.states.windows(2).all(order), "a repeat, or out of order");
    whole
}

fn key_of(state: &readstates::proto::ReadState) -> (i32, u64) {
    assert_ne!(state.r#type, 0, "answers never say UNSPECIFIED");
    (state.r#type, state.channel_id)
}

pub async fn list_all(node: &Node, user_id: u64, page_size: i32) -> ListResponse {
    let request = ListRequest { user_id, ..ListRequest::default() };
    list_pages(node, request, || page_size).await
}

/// Acks `message_id` in each of these channels.
pub async fn ack_all(
    node: &Node,
    user_id: u64,
    channels: impl IntoIterator<Item = u64>,
    message_id: u64,
) {
    let item = |channel_id| BulkAckItem { channel_id, message_id, r#type: 0 };
    let items: Vec<_> = channels.into_iter().map(item).collect();
    for items in items.chunks(ITEMS_MAX) {
        let results = bulk_ack(node, user_id, items.to_vec()).await;
        assert!(results.iter().all(|result| result.code == 0));
    }
}

/// Acks random channels until told to stop; what each was acked last.
async fn keep_acking(node: &Node, mut rng: StdRng, stop: watch::Receiver<bool>) -> Vec<u64> {
    let mut acked = Vec::new();
    while !*stop.borrow() {
        let channel = rng.random_range(1..=CHANNELS);
        Subject::new(node, 1, channel).ack(1_000 + acked.len() as u64).await;
        acked.push(channel);
    }
    acked
}

async fn scenario_25_pages_have_no_gap_and_no_repeat_while_updates_go_on(node: &Node) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    ack_all(node, 1, 1..=CHANNELS, 5).await;
    // Half of them wait for the store, as far as the cache lets them, the others rest there.
    crate::deletes::flush(node).await;
    ack_all(node, 1, (1..=CHANNELS).filter(|channel| channel % 2 == 0), 10).await;
    let (stop, stopped) = watch::channel(false);
    let updates = keep_acking(node, StdRng::seed_from_u64(seed ^ 1), stopped);
    let listing = async {
        let request = ListRequest { user_id: 1, ..ListRequest::default() };
        let listed = list_pages(node, request, || rng.random_range(1..=50)).await;
        stop.send_replace(true);
        listed
    };
    let (listed, updated) = tokio::join!(listing, updates);
    let channels = listed.states.iter().map(|state| state.channel_id);
    assert!(channels.eq(1..=CHANNELS), "a gap among {} rows", listed.states.len());
    assert!(!updated.is_empty(), "nothing went on meanwhile");
    for state in &listed.states {
        let least = if state.channel_id % 2 == 0 { 10 } else { 5 };
        assert!(state.last_acked_id >= least, "an old row: {state:?}");
    }
    check_resumption(node, listed, &updated).await;
}

/// A list and then what changed since its version make the whole, whatever went on meanwhile.
async fn check_resumption(node: &Node, listed: ListResponse, updated: &[u64]) {
    let since = ListRequest {
        user_id: 1,
        since_version: listed.version,
        page_size: 700,
        ..ListRequest::default()
    };
    let changes = list_pages(node, since, || 700).await;
    assert!(changes.delta);
    let mut held: BTreeMap<u64, u64> = BTreeMap::new();
    for state in listed.states.iter().chain(&changes.states) {
        held.insert(state.channel_id, state.last_acked_id);
    }
    for (nth, channel) in updated.iter().enumerate() {
        assert!(held[channel] >= 1_000 + nth as u64, "lost the ack of channel {channel}");
    }
    let now = list_all(node, 1, 10_000).await;
    let now: BTreeMap<_, _> =
        now.states.iter().map(|state| (state.channel_id, state.last_acked_id)).collect();
    assert_eq!(held, now);
}

/// A list looks at what is not yet written, and then into the store; a flush comes in between.
async fn listed_across_a_flush(moment: Moment) -> Vec<(u64, u64)> {
    let (ground, faults) = Ground::faulty();
    let node = ground.start().await;
    ack_all(&node, 1, 1..=3, 5).await;
    let gate = faults.hold_next(Call::LoadUser, moment);
    let flushing = async {
        faults.until(|tally| tally.held(Call::LoadUser) == 1).await;
        ack_all(&node, 1, [2], 6).await;
        crate::deletes::flush(&node).await;
        gate.open();
    };
    let (listed, ()) = tokio::join!(list_all(&node, 1, 10), flushing);
    node.stop().await;
    listed.states.iter().map(|state| (state.channel_id, state.last_acked_id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_flushed_after_the_store_was_read_is_not_missing() {
    assert_eq!(listed_across_a_flush(Moment::After).await, [(1, 5), (2, 5), (3, 5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_flushed_before_the_store_was_read_is_not_old() {
    assert_eq!(listed_across_a_flush(Moment::Before).await, [(1, 5), (2, 6), (3, 5)]);
}

async fn a_full_last_page_is_the_last(node: &Node) {
    ack_all(node, 1, 1..=6, 5).await;
    for page_size in [6, 7] {
        let request = ListRequest { user_id: 1, page_size, ..ListRequest::default() };
        let only = page(node, request).await;
        assert_eq!((only.states.len(), only.next_page_token.as_str()), (6, ""));
        assert!(!only.delta, "a full set");
    }
    for page_size in 1..=5 {
        assert_eq!(list_all(node, 1, page_size).await.states.len(), 6);
    }
}

async fn a_stranger_has_an_empty_list(node: &Node) {
    let listed = list_all(node, 77, 10).await;
    assert_eq!((listed.states.len(), listed.delta), (0, false));
    let since =
        ListRequest { user_id: 77, since_version: listed.version, ..ListRequest::default() };
    let changes = page(node, since).await;
    assert_eq!((changes.states.len(), changes.version > 0), (0, listed.version > 0));
}

async fn states_come_in_order_of_type_and_channel(node: &Node) {
    let kinds = [ReadStateType::MessageRequests, ReadStateType::Channel, ReadStateType::GuildHome];
    for channel in [7, u64::MAX, 1, 300] {
        for kind in kinds {
            Subject::new(node, 1, channel).of_kind(kind).ack(5).await;
            Subject::new(node, 2, channel).of_kind(kind).ack(5).await;
        }
    }
    let listed = list_all(node, 1, 5).await;
    let keys: Vec<_> = listed.states.iter().map(key_of).collect();
    let expected: Vec<_> =
        [1, 4, 6].iter().flat_map(|kind| [1, 7, 300, u64::MAX].map(|id| (*kind, id))).collect();
    assert_eq!(keys, expected);
    assert!(listed.states.iter().all(|state| state.user_id == 1));
}

async fn unread_only_shows_mentions_and_dots(node: &Node) {
    let read = Subject::new(node, 1, 1);
    read.ack(5).await;
    read.in_channel(2).mention(5).await;
    read.in_channel(3).mark_unread(5, None).await;
    read.in_channel(4).mention(5).await;
    read.in_channel(4).ack(5).await;
    read.in_channel(5).mention(5).await;
    read.in_channel(5).delete().await;
    read.in_channel(6).increment(1).await;
    read.in_channel(1).of_kind(ReadStateType::GuildEvent).mention(5).await;
    let request = ListRequest { user_id: 1, unread_only: true, ..ListRequest::default() };
    let listed = list_pages(node, request, || 2).await;
    let keys: Vec<_> = listed.states.iter().map(key_of).collect();
    assert_eq!(keys, [(1, 2), (1, 3), (1, 6), (2, 1)]);
}

async fn page_sizes(node: &Node) {
    ack_all(node, 1, 1..=10_500, 5).await;
    for (page_size, rows) in [(0, 1_000), (1, 1), (999, 999), (10_000, 10_000)] {
        let request = ListRequest { user_id: 1, page_size, ..ListRequest::default() };
        assert_eq!(page(node, request).await.states.len(), rows, "page_size {page_size}");
    }
    for page_size in [10_001, 10_500, i32::MAX] {
        let request = ListRequest { user_id: 1, page_size, ..ListRequest::default() };
        assert_eq!(page(node, request).await.states.len(), 10_000, "coerced, not refused");
    }
    for page_size in [-1, i32::MIN] {
        let request = ListRequest { user_id: 1, page_size, ..ListRequest::default() };
        let result = node.client().list(request).await;
        expect_invalid(result, "INVALID_PAGE_SIZE", "page_size");
    }
}
