//! Scenario 29: a badge is what a recount over `List` gives, whatever was done before.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use readstates::proto::{GetSummaryRequest, ReadState, ReadStateType, Summary};

use crate::{
    ground::{Node, on_grounds},
    paging::list_all,
    subject::{Answer, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    scenario_29_a_badge_equals_a_recount_after_random_operations,
    badges_come_in_request_order_and_zero_for_strangers,
    a_badge_counts_channels_only_and_saturates,
]);

const KINDS: [ReadStateType; 3] =
    [ReadStateType::Channel, ReadStateType::GuildEvent, ReadStateType::MessageRequests];

pub async fn summary(node: &Node, user_id: u64) -> Summary {
    summaries(node, &[user_id]).await[0]
}

async fn summaries(node: &Node, user_ids: &[u64]) -> Vec<Summary> {
    let request = GetSummaryRequest { user_ids: user_ids.to_vec() };
    let response = node.client().get_summary(request).await.expect("badges");
    response.into_inner().summaries
}

fn recount(states: &[ReadState]) -> (u32, u32, u32) {
    let channels = states.iter().filter(|state| state.r#type() == ReadStateType::Channel);
    channels.fold((0, 0, 0), |(mentions, mentioned, marked), state| {
        (
            u32::saturating_add(mentions, state.mention_count),
            mentioned + u32::from(state.mention_count > 0),
            marked + u32::from(state.marked_unread),
        )
    })
}

async fn random_operation(subject: &Subject<'_>, rng: &mut StdRng) -> Answer {
    let id = rng.random_range(1..40);
    match rng.random_range(0..10) {
        0..=3 => subject.mention(id).await,
        4 => subject.increment(rng.random_range(0..5)).await,
        5..=6 => subject.ack(id).await,
        7 => subject.mark_unread(id, rng.random_bool(0.5).then_some(3)).await,
        8 => subject.reset().await,
        _ => subject.delete().await,
    }
}

async fn scenario_29_a_badge_equals_a_recount_after_random_operations(node: &Node) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..25 {
        for _ in 0..12 {
            let kind = *KINDS.choose(&mut rng).expect("not empty");
            let subject =
                Subject::new(node, rng.random_range(1..4), rng.random_range(1..6)).of_kind(kind);
            random_operation(&subject, &mut rng).await;
        }
        for (user, badge) in (1..4).zip(summaries(node, &[1, 2, 3]).await) {
            let states = list_all(node, user, 2).await.states;
            let counted =
                (badge.mention_count, badge.channels_with_mentions, badge.channels_marked_unread);
            assert_eq!(counted, recount(&states), "user {user}: {states:?}");
            let newest = states.iter().map(|state| state.version).max().unwrap_or(0);
            assert!(badge.version >= newest, "the version covers all that was counted");
        }
    }
}

async fn badges_come_in_request_order_and_zero_for_strangers(node: &Node) {
    Subject::new(node, 5, 1).mention(1).await;
    Subject::new(node, 3, 1).increment(2).await;
    let badges = summaries(node, &[9, 5, 3, 5]).await;
    let counted: Vec<_> = badges.iter().map(|badge| (badge.user_id, badge.mention_count)).collect();
    assert_eq!(counted, [(9, 0), (5, 1), (3, 2), (5, 1)]);
    assert_eq!(summaries(node, &[]).await, []);
}

async fn a_badge_counts_channels_only_and_saturates(node: &Node) {
    let subject = Subject::new(node, 1, 1);
    subject.of_kind(ReadStateType::NotificationCenter).increment(7).await;
    subject.of_kind(ReadStateType::GuildHome).mark_unread(5, None).await;
    assert_eq!(recount(&[]), (0, 0, 0));
    let badge = summary(node, 1).await;
    assert_eq!((badge.mention_count, badge.channels_marked_unread), (0, 0));
    subject.increment(u32::MAX).await;
    subject.in_channel(2).increment(5).await;
    let badge = summary(node, 1).await;
    assert_eq!((badge.mention_count, badge.channels_with_mentions), (u32::MAX, 2));
    subject.delete().await;
    assert_eq!(summary(node, 1).await.mention_count, 5);
}
