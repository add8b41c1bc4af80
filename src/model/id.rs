//! The names of things: users, channels, messages, versions, and the key of a read state.

use std::fmt;

macro_rules! nonzero_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// `None` for 0, which names nothing.
            pub const fn new(id: u64) -> Option<Self> {
                if id == 0 { None } else { Some(Self(id)) }
            }

            /// The number on the wire.
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

nonzero_id! {
    /// A user; never 0.
    UserId
}
nonzero_id! {
    /// A channel, or the guild or user that owns the feature for other kinds; never 0.
    ChannelId
}
nonzero_id! {
    /// A message: a position in its channel. Larger means later; never 0.
    MessageId
}

/// Revision of a state: microseconds since the Unix epoch from a hybrid clock, strictly rising per
/// user. 0 is the version of a state that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of what does not exist.
    pub const ZERO: Self = Self(0);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The smallest version above this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a record in the journal: 1, 2, 3 and so on over the journal's whole life. 0 stands
/// for nothing written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The record of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The record after it.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The record before it; of the first, nothing.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a read state is about: `ReadStateType` of the contract, whose numbers these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A channel or thread with messages.
    #[default]
    Channel = 1,
    /// The scheduled events of a guild.
    GuildEvent = 2,
    /// The notification centre of a user.
    NotificationCenter = 3,
    /// The home feed of a guild.
    GuildHome = 4,
    /// The onboarding questions of a guild.
    GuildOnboarding = 5,
    /// The message requests of a user.
    MessageRequests = 6,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 6] = [
        Self::Channel,
        Self::GuildEvent,
        Self::NotificationCenter,
        Self::GuildHome,
        Self::GuildOnboarding,
        Self::MessageRequests,
    ];

    /// The kind with this number in the contract and in stored rows.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Names one read state. Orders by user, then kind, then channel, as `List` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose state it is.
    pub user: UserId,
    /// What it is about.
    pub kind: Kind,
    /// Which channel, guild or user.
    pub channel: ChannelId,
}

impl Key {
    /// Above every other key.
    pub const MAX: Self =
        Self { user: UserId(u64::MAX), kind: Kind::MessageRequests, channel: ChannelId(u64::MAX) };

    /// The key of a channel's state, by far the most usual kind.
    pub const fn channel(user: UserId, channel: ChannelId) -> Self {
        Self { user, kind: Kind::Channel, channel }
    }

    /// The lowest key that a state of `user` can have.
    pub const fn lowest_of(user: UserId) -> Self {
        Self { user, kind: Kind::Channel, channel: ChannelId(1) }
    }

    /// In which of `parts` of all keys it is. Neighbours are far apart.
    pub const fn part_of(&self, parts: u64) -> u64 {
        let mixed = self.user.as_u64().rotate_left(32) ^ self.channel.as_u64();
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % parts
    }

    /// Where the keys of a user end.
    pub const fn highest_of(user: UserId) -> Self {
        const HIGHEST: ChannelId = ChannelId::new(u64::MAX).expect("the highest is not 0");
        let [.., last] = Kind::ALL;
        Self { user, kind: last, channel: HIGHEST }
    }
}
