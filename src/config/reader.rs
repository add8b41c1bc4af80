//! Walks the table in step with the fields of `Config` and collects what is refused on the way.

use std::slice::Iter;

use super::{ConfigError, Origin, Setting, layers::Layers, table::SETTINGS, value::Parsed};

/// Hands out one parsed value per setting of the table, in its order.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    settings: Iter<'static, Setting>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self { layers, settings: SETTINGS.iter(), errors: Vec::new() }
    }

    /// The next setting's value. A refused one is noted and stands at its default, so that the
    /// rest is judged too.
    pub(super) fn next<T>(&mut self, parse: impl Fn(&str) -> Parsed<T>) -> T {
        let setting = self.settings.next().expect("the macro makes a field per setting");
        let default = || parse(setting.default).expect("a test parses every default");
        let Some(given) = self.layers.given(setting.key) else { return default() };
        parse(&given.text).unwrap_or_else(|problem| {
            self.errors.push(ConfigError {
                key: Some(setting.key.to_owned()),
                value: Some(given.text.clone()),
                origin: given.origin.clone(),
                problem,
            });
            default()
        })
    }

    /// Notes an error of `key` that only shows beside other settings.
    pub(super) fn refuse(&mut self, key: &'static str, problem: String) {
        let given = self.layers.given(key);
        self.errors.push(ConfigError {
            key: Some(key.to_owned()),
            value: given.map(|given| given.text.clone()),
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            problem,
        });
    }

    /// Whether anyone gave `key` a value.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.layers.given(key).is_some()
    }
}
