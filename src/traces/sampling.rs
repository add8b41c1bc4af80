//! Which calls are traced.

use std::fmt;

/// Whose word counts, and what holds for calls that come without one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    /// A call with a parent is traced if that is.
    pub follows: bool,
    /// Of all other calls.
    pub root: Root,
}

/// Which calls are traced for their own sake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Root {
    All,
    None,
    /// This share of them, from 0 to 1, by their trace ids.
    Share(f64),
}

impl Sampling {
    /// Whoever traces asks for it. A trace of its own for each call of a service that answers many
    /// thousands in a second is what nobody wants by default.
    pub const DEFAULT: Self = Self { follows: true, root: Root::None };

    /// The one that `name` means, as `OTEL_TRACES_SAMPLER` has it, with the share of its argument.
    pub fn of(name: &str, share: f64) -> Option<Self> {
        let (follows, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::All,
            "always_off" => Root::None,
            "traceidratio" => Root::Share(share),
            _ => return None,
        };
        Some(Self { follows, root })
    }

    /// Whether a call can be traced at all whose parent `is_sampled`, or which has none: most of
    /// those that are not are told here, before anything is made for them.
    pub fn may_take(self, is_sampled: Option<bool>) -> bool {
        match is_sampled.filter(|_| self.follows) {
            Some(is_sampled) => is_sampled,
            None => self.root != Root::None,
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.follows { "parentbased_" } else { "" })?;
        match self.root {
            Root::All => f.write_str("always_on"),
            Root::None => f.write_str("always_off"),
            Root::Share(share) => write!(f, "traceidratio({share})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_is_known_by_its_name() {
        for name in ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"] {
            assert_eq!(Sampling::of(name, 1.0).expect("a sampler").to_string(), name);
        }
        let share = Sampling::of("parentbased_traceidratio", 0.25).expect("a sampler");
        assert_eq!(share.to_string(), "parentbased_traceidratio(0.25)");
        for bad in ["", "parentbased_", "jaeger_remote", "xray", "ALWAYS_ON"] {
            assert_eq!(Sampling::of(bad, 1.0), None, "{bad:?}");
        }
        assert_eq!(Sampling::DEFAULT.to_string(), "parentbased_always_off");
    }

    #[test]
    fn what_follows_asks_the_parent_first() {
        for (name, without, unsampled, sampled) in [
            ("parentbased_always_off", false, false, true),
            ("parentbased_always_on", true, false, true),
            ("parentbased_traceidratio", true, false, true),
            ("always_off", false, false, false),
            ("always_on", true, true, true),
            ("traceidratio", true, true, true),
        ] {
            let sampling = Sampling::of(name, 0.5).expect("a sampler");
            let takes = [None, Some(false), Some(true)].map(|parent| sampling.may_take(parent));
            assert_eq!(takes, [without, unsampled, sampled], "{name}");
        }
    }
}
