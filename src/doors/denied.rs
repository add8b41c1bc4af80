//! Why somebody may not call. What is said does not tell a token that is nearly right from one that
//! nobody ever had.

use std::{fmt, sync::Arc};

use super::Roles;

/// A call that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It came with nothing to know its caller by.
    NoCredentials,
    /// Its `authorization` header is of another form.
    Malformed,
    /// What it came with is nobody's.
    Unknown,
    /// The time of its caller is over.
    Expired,
    /// Its caller has none of these roles.
    Role(Roles),
    /// There is no such method.
    NoMethod,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials => f.write_str(
                "this server asks who calls: send a token as `authorization: Bearer TOKEN`, or \
                 connect with a certificate that it knows",
            ),
            Self::Malformed => {
                f.write_str("the authorization header is not of the form `Bearer TOKEN`")
            }
            Self::Unknown => f.write_str("these credentials are not valid here"),
            Self::Expired => f.write_str("these credentials have expired"),
            Self::Role(needed) => write!(f, "this method needs the role {needed}"),
            Self::NoMethod => f.write_str("there is no such method here"),
        }
    }
}

/// A call that is not let in, and whose it is where that is known.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Why.
    pub denied: Denied,
    /// The name of its caller, for the log.
    pub caller: Option<Arc<str>>,
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Self {
        Self { denied, caller: None }
    }
}
