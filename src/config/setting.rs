//! One setting under its four names: TOML key, flag, environment variable and field.

/// What is known of a setting before anyone gives it a value.
///
/// Everything that shows settings (flags, sample file, documentation) is generated from these, so
/// none of them can drift from what is parsed.
#[derive(Debug)]
pub struct Setting {
    /// The key in the TOML file, which is also the flag without its dashes.
    pub key: &'static str,
    /// The value where none is given, spelled as a user would spell it.
    pub default: &'static str,
    /// Stands for the value in the help.
    pub value_name: &'static str,
    /// What it does, in a sentence or two.
    help: &'static str,
}

impl Setting {
    /// An entry of the table; `doc` is the field's documentation as the compiler hands it over.
    pub(super) const fn new(
        key: &'static str,
        default: &'static str,
        value_name: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { key, default, value_name, help: doc }
    }

    /// What it does, in a sentence or two.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// The flag, such as `--flush-after`.
    pub fn flag(&self) -> String {
        format!("--{}", self.key)
    }

    /// The environment variable, such as `READSTATES_FLUSH_AFTER`.
    pub fn variable(&self) -> String {
        format!("READSTATES_{}", self.key.replace('-', "_").to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_variable_follow_from_the_key() {
        let setting = Setting::new("flush-after", "30s", "DURATION", " How long. Or less.");
        assert_eq!(setting.flag(), "--flush-after");
        assert_eq!(setting.variable(), "READSTATES_FLUSH_AFTER");
        assert_eq!(setting.help(), "How long. Or less.");
    }
}
