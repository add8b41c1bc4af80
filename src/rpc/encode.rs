//! States and outcomes into answers.

use super::{reason::Reason, status::Failure};
use crate::{
    engine::{Done, Error, Event},
    model::{Cause, Key, MentionOutcome, Version, View},
    proto,
};

/// The state on the wire; nothing where there is none.
pub(super) fn state(key: &Key, view: &View) -> Option<proto::ReadState> {
    (view.version != Version::ZERO).then(|| proto::ReadState {
        user_id: key.user.as_u64(),
        channel_id: key.channel.as_u64(),
        last_acked_id: view.last_acked_id,
        mention_count: view.mention_count,
        version: view.version.as_micros(),
        marked_unread: view.marked_unread,
        flags: view.flags,
        last_viewed_day: view.last_viewed_day,
        last_pin_ack_ms: view.last_pin_ack_ms,
        mentions_exact: view.mentions_exact,
        deleted: view.deleted,
        r#type: i32::from(key.kind as u8),
    })
}

pub(super) fn key(key: &Key) -> proto::Key {
    proto::Key {
        user_id: key.user.as_u64(),
        channel_id: key.channel.as_u64(),
        r#type: i32::from(key.kind as u8),
    }
}

pub(super) fn outcome(outcome: Option<MentionOutcome>) -> proto::MentionOutcome {
    match outcome {
        None => proto::MentionOutcome::Unspecified,
        Some(MentionOutcome::Incremented) => proto::MentionOutcome::Incremented,
        Some(MentionOutcome::Duplicate) => proto::MentionOutcome::Duplicate,
        Some(MentionOutcome::AlreadyRead) => proto::MentionOutcome::AlreadyRead,
    }
}

pub(super) fn event(event: &Event) -> proto::WatchResponse {
    proto::WatchResponse {
        user_id: event.user.as_u64(),
        state: event.state.and_then(|(key, view)| state(&key, &view)),
        cause: cause(event.cause).into(),
        version: event.version.as_micros(),
    }
}

fn cause(cause: Cause) -> proto::Cause {
    match cause {
        Cause::Ack => proto::Cause::Ack,
        Cause::Increment => proto::Cause::Increment,
        Cause::Reset => proto::Cause::Reset,
        Cause::MarkUnread => proto::Cause::MarkUnread,
        Cause::AckPins => proto::Cause::AckPins,
        Cause::Retract => proto::Cause::Retract,
        Cause::Restore => proto::Cause::Restore,
        Cause::Delete => proto::Cause::Delete,
        Cause::CatchUp => proto::Cause::CatchUp,
        Cause::CaughtUp => proto::Cause::CaughtUp,
        Cause::Resync => proto::Cause::Resync,
    }
}

pub(super) fn operation_result(result: Result<Done, Failure>) -> proto::OperationResult {
    match result {
        Ok(done) => proto::OperationResult {
            code: 0,
            reason: String::new(),
            version: done.view.version.as_micros(),
            mention_count: done.view.mention_count,
            last_acked_id: done.view.last_acked_id,
            changed: done.changed,
            outcome: outcome(done.outcome).into(),
        },
        Err(failure) => proto::OperationResult {
            code: failure.code(),
            reason: failure.reason.name().to_owned(),
            version: failure.current_version.unwrap_or(0),
            ..proto::OperationResult::default()
        },
    }
}

pub(super) fn bulk_ack_result(
    key: Option<&Key>,
    result: Result<Done, Failure>,
) -> proto::BulkAckResult {
    match result {
        Ok(done) => proto::BulkAckResult {
            state: key.and_then(|key| state(key, &done.view)),
            changed: done.changed,
            previous_last_acked_id: done.previous.last_acked_id,
            previous_mention_count: done.previous.mention_count,
            previous_marked_unread: done.previous.marked_unread,
            ..proto::BulkAckResult::default()
        },
        Err(failure) => proto::BulkAckResult {
            code: failure.code(),
            reason: failure.reason.name().to_owned(),
            ..proto::BulkAckResult::default()
        },
    }
}

/// Where a guard did not match, the current state is shown, its version included.
pub(super) fn restore_result(key: &Key, result: Result<Done, Error>) -> proto::RestoreResult {
    match result {
        Ok(done) => proto::RestoreResult {
            state: state(key, &done.view),
            changed: done.changed,
            ..proto::RestoreResult::default()
        },
        Err(error) => {
            let current = match &error {
                Error::Mismatch(view) => state(key, view),
                _ => None,
            };
            proto::RestoreResult { state: current, ..failed_restore(&error.into()) }
        }
    }
}

pub(super) fn failed_restore(failure: &Failure) -> proto::RestoreResult {
    proto::RestoreResult {
        code: failure.code(),
        reason: failure.reason.name().to_owned(),
        ..proto::RestoreResult::default()
    }
}

/// `Get` of a state that is not there, or is a tombstone.
pub(super) fn existing(key: &Key, view: &View) -> Result<proto::ReadState, Failure> {
    let missing = || Failure::new(Reason::ReadStateNotFound, "there is no such read state");
    state(key, view).filter(|state| !state.deleted).ok_or_else(missing)
}
