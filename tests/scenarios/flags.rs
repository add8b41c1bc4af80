//! The caller's bits and the day of the last view: kept, never interpreted, taken from any ack at
//! or above the watermark.

use readstates::proto::AckRequest;

use crate::{
    ground::{Node, on_grounds},
    subject::Subject,
};

on_grounds!([roomy, tiny, on_disk] => [
    any_value_is_kept_whole,
    an_equal_ack_takes_what_is_given,
    what_is_omitted_keeps_its_value,
    nothing_else_touches_them,
]);

fn with(subject: &Subject<'_>, id: u64, flags: Option<u32>, day: Option<u32>) -> AckRequest {
    AckRequest { flags, last_viewed_day: day, ..subject.ack_request(id) }
}

async fn stored(subject: &Subject<'_>) -> (u32, u32) {
    let state = subject.state().await;
    (state.flags, state.last_viewed_day)
}

async fn any_value_is_kept_whole(node: &Node) {
    let values = [0, 1, 7, 8, 0xff, 1 << 24, (1 << 24) - 1, 1 << 31, u32::MAX];
    for (channel, flags) in (1..).zip(values) {
        for (id, day) in (1..).zip(values) {
            let subject = Subject::new(node, 1, channel);
            let request = with(&subject, id, Some(flags), Some(day));
            subject.try_ack(request).await.expect("any bits are taken");
            assert_eq!(stored(&subject).await, (flags, day));
        }
    }
}

async fn an_equal_ack_takes_what_is_given(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let first = subject.ack(100).await;
    let taken = subject.try_ack(with(&subject, 100, Some(4), None)).await.expect("an ack");
    assert!(taken.changed && taken.version() > first.version());
    let day = subject.try_ack(with(&subject, 100, None, Some(9))).await.expect("an ack");
    assert!(day.changed);
    assert_eq!(stored(&subject).await, (4, 9));
    let same = subject.try_ack(with(&subject, 100, Some(4), Some(9))).await.expect("an ack");
    assert!(!same.changed, "nothing is new");
    assert_eq!(same.version(), day.version());
    let cleared = subject.try_ack(with(&subject, 100, Some(0), Some(0))).await.expect("an ack");
    assert!(cleared.changed, "0 is a value, not an omission");
    assert_eq!(stored(&subject).await, (0, 0));
}

async fn what_is_omitted_keeps_its_value(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.try_ack(with(&subject, 100, Some(6), Some(40))).await.expect("an ack");
    subject.ack(200).await;
    assert_eq!(stored(&subject).await, (6, 40));
    subject.try_ack(with(&subject, 300, None, Some(41))).await.expect("an ack");
    assert_eq!(stored(&subject).await, (6, 41));
    let older = subject.try_ack(with(&subject, 299, Some(1), Some(1))).await.expect("an ack");
    assert!(!older.changed);
    assert_eq!(stored(&subject).await, (6, 41));
}

async fn nothing_else_touches_them(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    subject.try_ack(with(&subject, 100, Some(u32::MAX), Some(40))).await.expect("an ack");
    subject.mention(110).await;
    subject.increment(3).await;
    subject.mark_unread(50, Some(9)).await;
    subject.reset().await;
    subject.ack_pins(5).await;
    subject.retract(110).await;
    assert_eq!(stored(&subject).await, (u32::MAX, 40));
    subject.delete().await;
    subject.ack(1).await;
    assert_eq!(stored(&subject).await, (0, 0), "a state starts anew after its deletion");
}
