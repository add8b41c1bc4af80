//! Roles: what a caller is there to do, and with it what it may call.

use std::fmt;

/// A role that the callers file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Looks at states, and watches them.
    Reader,
    /// Does what users do, and repairs it: acks, single mentions, deletions of single states.
    Writer,
    /// Does what messages do to many users. It is told counts, never a state.
    FanOut,
    /// Everything, the removal of users and the maintenance of the whole store included.
    Admin,
}

impl Role {
    /// All of them, from the least.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Writer, Self::FanOut, Self::Admin];

    /// As the callers file spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::FanOut => "fanout",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// These.
    pub const fn of(roles: &[Role]) -> Self {
        let (mut bits, mut place) = (0, 0);
        while place < roles.len() {
            bits |= roles[place].bit();
            place += 1;
        }
        Self(bits)
    }

    /// These and `role`.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `role` is one of them.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether whoever has these may do what needs one of `needed`.
    pub const fn suffice_for(self, needed: Self) -> bool {
        self.contains(Role::Admin) || self.0 & needed.0 != 0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role)).map(Role::name)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names().enumerate().try_for_each(|(place, name)| {
            f.write_str(if place == 0 { "" } else { " or " })?;
            f.write_str(name)
        })
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        for wrong in ["", "Reader", "readers", "root"] {
            assert_eq!(Role::parse(wrong), None);
        }
    }

    #[test]
    fn one_role_of_those_needed_suffices_and_admin_always_does() {
        let needed = Roles::of(&[Role::Writer, Role::FanOut]);
        for role in Role::ALL {
            let suffices = role != Role::Reader;
            assert_eq!(Roles::of(&[role]).suffice_for(needed), suffices, "{role:?}");
        }
        assert!(Roles::of(&[Role::Admin]).suffice_for(Roles::default()));
        assert!(!Roles::default().suffice_for(needed));
        assert!(!Roles::of(&[Role::Reader]).suffice_for(Roles::default()));
    }

    #[test]
    fn a_set_names_its_roles() {
        let roles = Roles::default().with(Role::FanOut).with(Role::Writer).with(Role::Writer);
        assert_eq!(roles.to_string(), "writer or fanout");
        assert_eq!(format!("{roles:?}"), "{\"writer\", \"fanout\"}");
    }
}
