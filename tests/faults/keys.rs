//! Names and operations, short enough that a test reads as its scenario.

use readstates::model::{ChannelId, Guard, Key, MessageId, Operation, Update, UserId, Version};

pub fn user(id: u64) -> UserId {
    UserId::new(id).expect("not 0")
}

pub fn key(user_id: u64, channel: u64) -> Key {
    Key::channel(user(user_id), ChannelId::new(channel).expect("not 0"))
}

pub fn ack(id: u64) -> Update {
    let message = MessageId::new(id).expect("not 0");
    Operation::Ack { message, flags: None, last_viewed_day: None }.into()
}

pub fn mention(id: u64) -> Update {
    let message = MessageId::new(id).expect("not 0");
    Operation::Mention { message, initial_acked_id: None }.into()
}

pub fn increment() -> Update {
    Operation::Increment { count: 1, initial_acked_id: None }.into()
}

pub fn delete() -> Update {
    Operation::Delete.into()
}

/// The update, only where the state has this version.
pub fn if_version(update: Update, version: Version) -> Update {
    Update { guard: Guard { version: Some(version), last_acked_id: None }, ..update }
}
