//! What a message does to read states: its author has read up to it, and it mentions others.

use std::fmt;

use super::trace::Message;

/// One call to be made. Both are positioned, so neither order nor repetition changes the outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The author has read everything up to the message.
    Ack {
        /// The author.
        user: u64,
        /// Where.
        channel: u64,
        /// Up to this message.
        message: u64,
    },
    /// The message mentions these users.
    FanOut {
        /// Where.
        channel: u64,
        /// Which message.
        message: u64,
        /// Whom.
        users: Box<[u64]>,
    },
}

impl Operation {
    /// The operations of a message: an ack, and a fan-out if it mentions anyone.
    pub fn of(message: Message) -> (Self, Option<Self>) {
        let Message { user, channel, message, mentioned } = message;
        let ack = Self::Ack { user, channel, message };
        let fan_out = Self::FanOut { channel, message, users: mentioned };
        let mentions = !fan_out.users().is_empty();
        (ack, mentions.then_some(fan_out))
    }

    /// Whether it is an ack.
    pub fn is_ack(&self) -> bool {
        matches!(self, Self::Ack { .. })
    }

    /// Whose states it touches.
    pub fn users(&self) -> &[u64] {
        match self {
            Self::Ack { user, .. } => std::slice::from_ref(user),
            Self::FanOut { users, .. } => users,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ack { user, channel, message } => {
                write!(f, "Ack of user {user} in channel {channel} up to {message}")
            }
            Self::FanOut { channel, message, users } => {
                let count = users.len();
                write!(f, "FanOut of message {message} in channel {channel} to {count} users")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_acks_for_its_author_and_mentions_the_others() {
        let message = Message { user: 1, channel: 2, message: 3, mentioned: [1, 4].into() };
        let (ack, fan_out) = Operation::of(message);
        assert_eq!(ack, Operation::Ack { user: 1, channel: 2, message: 3 });
        let users = [1, 4].into();
        assert_eq!(fan_out, Some(Operation::FanOut { channel: 2, message: 3, users }));
    }

    #[test]
    fn a_message_that_mentions_nobody_is_one_call() {
        let message = Message { user: 1, channel: 2, message: 3, mentioned: [].into() };
        assert_eq!(Operation::of(message).1, None);
    }
}
