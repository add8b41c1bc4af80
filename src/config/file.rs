//! The TOML file: flat, every key known, every value a string, a number, true or false.

use std::{fs, ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{ConfigError, ConfigErrors, Origin, layers::Layers, nearest::nearest, settings};

/// A configuration file that was read but not yet understood.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Its name as the user gave it, for messages.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl ConfigFile {
    /// Reads the file at `path`; the error names it.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => Err(ConfigErrors(vec![ConfigError {
                key: None,
                value: None,
                origin: Origin::File { name, line: None },
                problem: format!("cannot be read: {error}"),
            }])),
        }
    }

    /// The place in this file at byte `position`.
    fn origin(&self, position: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(position);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File { name: self.name.clone(), line: Some(line) }
    }

    fn error(&self, key: Option<&str>, span: Option<Range<usize>>, problem: String) -> ConfigError {
        let origin = self.origin(span.map_or(0, |span| span.start));
        ConfigError { key: key.map(str::to_owned), value: None, origin, problem }
    }
}

/// Adds every value of `file` to `layers`, and everything that is wrong with it.
pub(super) fn read(file: &ConfigFile, layers: &mut Layers) {
    match DeTable::parse(&file.text) {
        Ok(table) => {
            for (key, value) in table.into_inner() {
                read_value(file, layers, key.get_ref(), value.span(), value.get_ref());
            }
        }
        Err(error) => {
            let problem = format!("is not TOML: {}", error.message());
            layers.errors.push(file.error(None, error.span(), problem));
        }
    }
}

fn read_value(
    file: &ConfigFile,
    layers: &mut Layers,
    key: &str,
    span: Range<usize>,
    value: &DeValue<'_>,
) {
    let Some(setting) = settings().find(|setting| setting.key == key) else {
        layers.errors.push(file.error(Some(key), Some(span), unknown(key)));
        return;
    };
    match text(value) {
        Some(text) => layers.add(setting, text, file.origin(span.start)),
        None => {
            let problem =
                format!("allowed is a string, a number, true or false, not {}", value.type_str());
            layers.errors.push(file.error(Some(key), Some(span), problem));
        }
    }
}

/// The value as a user would give it to the flag.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Some(number.as_str().to_owned()), |number| Some(number.to_string())),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn unknown(key: &str) -> String {
    match nearest(key, settings().map(|setting| setting.key)) {
        Some(name) => format!("there is no such setting; did you mean {name}?"),
        None => "there is no such setting".to_owned(),
    }
}
