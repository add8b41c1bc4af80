//! The read state types by the names they have on the command line.

use clap::ValueEnum;

use crate::proto::ReadStateType;

/// What a read state is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A channel or thread with messages
    #[default]
    Channel,
    /// The scheduled events of a guild
    GuildEvent,
    /// The notification centre of a user
    NotificationCenter,
    /// The home feed of a guild
    GuildHome,
    /// The onboarding questions of a guild
    GuildOnboarding,
    /// The message requests of a user
    MessageRequests,
}

impl From<Kind> for ReadStateType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Channel => Self::Channel,
            Kind::GuildEvent => Self::GuildEvent,
            Kind::NotificationCenter => Self::NotificationCenter,
            Kind::GuildHome => Self::GuildHome,
            Kind::GuildOnboarding => Self::GuildOnboarding,
            Kind::MessageRequests => Self::MessageRequests,
        }
    }
}

impl Kind {
    /// The number in the contract.
    pub fn number(self) -> i32 {
        ReadStateType::from(self).into()
    }
}

/// The name of a type as `--type` takes it; one that this program does not know, by its number.
pub fn name(kind: ReadStateType) -> String {
    let name = kind.as_str_name().trim_start_matches("READ_STATE_TYPE_");
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_command_line_are_those_shown() {
        for kind in Kind::value_variants() {
            let flag = kind.to_possible_value().expect("no type is hidden");
            assert_eq!(flag.get_name(), name((*kind).into()));
        }
    }
}
