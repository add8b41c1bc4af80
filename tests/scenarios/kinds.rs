//! The six types of read states, in every call about one state.

use readstates::proto::{
    BatchGetRequest, BulkAckRequest, Key, ReadStateType, RestoreItem, RestoreRequest,
};

use crate::{
    bulk::item,
    ground::{Node, on_grounds},
    paging::list_all,
    subject::Subject,
};

on_grounds!([roomy, tiny, on_disk] => [
    every_call_keeps_the_types_apart,
    unspecified_means_channel_and_is_never_answered,
    items_and_keys_have_types_too,
]);

const KINDS: [ReadStateType; 6] = [
    ReadStateType::Channel,
    ReadStateType::GuildEvent,
    ReadStateType::NotificationCenter,
    ReadStateType::GuildHome,
    ReadStateType::GuildOnboarding,
    ReadStateType::MessageRequests,
];

async fn every_call_keeps_the_types_apart(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    for (nth, kind) in (1..).zip(KINDS) {
        let subject = subject.of_kind(kind);
        let answers = [
            subject.ack(100 * nth).await,
            subject.mention(100 * nth + 10).await,
            subject.increment(nth as u32).await,
            subject.mark_unread(100 * nth, None).await,
            subject.ack_pins(nth).await,
        ];
        for answer in answers {
            assert_eq!(answer.state.map(|state| state.r#type()), Some(kind));
        }
    }
    for (nth, kind) in (1..).zip(KINDS) {
        let state = subject.of_kind(kind).state().await;
        assert_eq!((state.last_acked_id, state.last_pin_ack_ms), (100 * nth, nth));
        assert_eq!((state.mention_count, state.r#type()), (1 + nth as u32, kind));
    }
    subject.of_kind(ReadStateType::GuildHome).reset().await;
    subject.of_kind(ReadStateType::GuildEvent).delete().await;
    let listed = list_all(node, 1, 2).await.states;
    let counts: Vec<_> = listed.iter().map(|state| (state.r#type, state.mention_count)).collect();
    assert_eq!(counts, [(1, 2), (3, 4), (4, 0), (5, 6), (6, 7)]);
}

async fn unspecified_means_channel_and_is_never_answered(node: &Node) {
    let unsaid = Subject::new(node, 1, 10);
    let said = unsaid.of_kind(ReadStateType::Channel);
    assert_eq!((unsaid.kind, said.kind), (0, 1));
    let answer = unsaid.ack(100).await;
    assert_eq!(answer.state.map(|state| state.r#type), Some(1));
    assert_eq!(said.get().await, answer.state);
    assert!(!said.ack(100).await.changed, "it is the same state");
    let deleted = unsaid.delete().await;
    assert_eq!(deleted.state.map(|state| state.r#type), Some(1));
    let key = Key { user_id: 1, channel_id: 10, r#type: 0 };
    let request = BatchGetRequest { keys: vec![key] };
    let missing = node.client().batch_get(request).await.expect("keys").into_inner().missing;
    assert_eq!(missing, [Key { r#type: 1, ..key }]);
}

async fn items_and_keys_have_types_too(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let mut client = node.client();
    let items = KINDS.map(|kind| readstates::proto::BulkAckItem {
        r#type: kind.into(),
        ..item(10, 100 + u64::from(kind as u8))
    });
    let request = BulkAckRequest { user_id: 1, items: items.to_vec() };
    let results = client.bulk_ack(request).await.expect("acks").into_inner().results;
    assert!(results.iter().all(|result| result.changed), "six states, not one");
    let home = RestoreItem {
        user_id: 1,
        channel_id: 10,
        r#type: ReadStateType::GuildHome.into(),
        last_acked_id: 3,
        ..RestoreItem::default()
    };
    client.restore(RestoreRequest { states: vec![home] }).await.expect("a repair");
    let keys: Vec<_> = KINDS
        .iter()
        .rev()
        .map(|kind| Key { user_id: 1, channel_id: 10, r#type: (*kind).into() })
        .collect();
    let states = client.batch_get(BatchGetRequest { keys }).await.expect("keys").into_inner();
    let watermarks: Vec<_> =
        states.states.iter().map(|state| (state.r#type, state.last_acked_id)).collect();
    assert_eq!(watermarks, [(6, 106), (5, 105), (4, 3), (3, 103), (2, 102), (1, 101)]);
    assert_eq!(subject.position().await, (101, 0));
}
