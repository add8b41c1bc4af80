//! `expected_version`: checked before anything else, by every call that has one.

use readstates::proto::{AckRequest, DeleteRequest, MarkUnreadRequest, ResetRequest};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    errors::reason_of,
    ground::{Node, on_grounds},
    subject::{Answer, Subject},
};

on_grounds!([roomy, tiny, on_disk] => [
    the_current_version_matches_and_any_other_does_not,
    zero_means_must_not_exist,
    a_tombstone_matches_zero_and_its_own_version,
    a_call_that_would_change_nothing_is_refused_all_the_same,
    of_many_writers_with_one_version_one_wins,
]);

/// Every guarded call with this version, each of which would change the state.
async fn guarded(subject: &Subject<'_>, nth: usize, version: u64) -> Result<Answer, Status> {
    let expected_version = Some(version);
    match nth {
        0 => subject.try_ack(AckRequest { expected_version, ..subject.ack_request(500) }).await,
        1 => {
            let request = subject.mark_unread_request(50, Some(3));
            subject.try_mark_unread(MarkUnreadRequest { expected_version, ..request }).await
        }
        2 => subject.try_reset(ResetRequest { expected_version, ..subject.reset_request() }).await,
        _ => {
            subject.try_delete(DeleteRequest { expected_version, ..subject.delete_request() }).await
        }
    }
}

/// Checks the refusal, which carries the version that would have matched.
fn expect_mismatch(result: Result<Answer, Status>, current: u64) {
    let status = result.expect_err("the version is not current");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    assert_eq!(reason_of(&status), "VERSION_MISMATCH");
    let details = status.get_error_details();
    let metadata = &details.error_info().expect("checked").metadata;
    assert!(
        metadata.values().any(|value| *value == current.to_string()),
        "the current version {current} is not in {metadata:?}"
    );
}

async fn the_current_version_matches_and_any_other_does_not(node: &Node) {
    for nth in 0..4 {
        let subject = Subject::new(node, 1, 10 + nth as u64);
        subject.ack(100).await;
        let current = subject.mention(110).await.version();
        for wrong in [0, 1, current - 1, current + 1, u64::MAX] {
            expect_mismatch(guarded(&subject, nth, wrong).await, current);
        }
        assert_eq!(subject.state().await.version, current, "nothing was done");
        let done = guarded(&subject, nth, current).await.expect("it is current");
        assert!(done.changed);
        expect_mismatch(guarded(&subject, nth, current).await, done.version());
    }
}

async fn zero_means_must_not_exist(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    for unborn in [1, u64::MAX] {
        expect_mismatch(guarded(&subject, 0, unborn).await, 0);
    }
    let created = guarded(&subject, 0, 0).await.expect("it does not exist");
    assert_eq!(created.position(), (500, 0));
    expect_mismatch(guarded(&subject, 0, 0).await, created.version());
    let absent = subject.in_channel(11);
    assert!(!guarded(&absent, 2, 0).await.expect("nothing to reset").changed);
    assert!(!guarded(&absent, 3, 0).await.expect("nothing to delete").changed);
    expect_mismatch(guarded(&absent, 2, 7).await, 0);
    expect_mismatch(guarded(&absent, 3, 7).await, 0);
}

async fn a_tombstone_matches_zero_and_its_own_version(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    for by_own_version in [false, true] {
        let live = subject.ack(100).await.version();
        let tombstone = subject.delete().await.version();
        expect_mismatch(guarded(&subject, 0, live).await, tombstone);
        expect_mismatch(guarded(&subject, 3, live).await, tombstone);
        let expected = if by_own_version { tombstone } else { 0 };
        assert!(!guarded(&subject, 3, expected).await.expect("it matches").changed);
        assert!(guarded(&subject, 0, expected).await.expect("it matches").changed);
        assert_eq!(subject.position().await, (500, 0));
        subject.delete().await;
    }
}

async fn a_call_that_would_change_nothing_is_refused_all_the_same(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let old = subject.ack(100).await.version();
    let current = subject.ack(500).await.version();
    expect_mismatch(guarded(&subject, 0, old).await, current);
    expect_mismatch(guarded(&subject, 2, old).await, current);
    assert!(!guarded(&subject, 0, current).await.expect("an equal ack").changed);
    assert_eq!(subject.state().await.version, current);
}

async fn of_many_writers_with_one_version_one_wins(node: &Node) {
    let subject = Subject::new(node, 1, 10);
    let version = subject.ack(100).await.version();
    let write = |message_id| {
        let request = subject.ack_request(message_id);
        subject.try_ack(AckRequest { expected_version: Some(version), ..request })
    };
    let results = futures_util::future::join_all((200..232).map(write)).await;
    let won: Vec<_> = results.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(subject.position().await, won[0].position());
}
