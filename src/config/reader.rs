//! Walks the table in step with the fields of `Config` and collects what is refused on the way.

use std::slice::Iter;

use super::{
    ConfigError, EffectiveValue, Origin, Setting, layers::Layers, table::SETTINGS, value::Parsed,
};

/// Hands out one parsed value per setting of the table, in its order.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    settings: Iter<'static, Setting>,
    pub(super) errors: Vec<ConfigError>,
    /// Keys with the only value that another setting leaves them, and that one's key.
    followed: Vec<(&'static str, &'static str, &'static str)>,
    /// Keys of settings in whose place another stands, and that one's key.
    replaced: Vec<(&'static str, &'static str)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            settings: SETTINGS.iter(),
            errors: Vec::new(),
            followed: Vec::new(),
            replaced: Vec::new(),
        }
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

    /// Notes that `key` has the value `text`, as the setting `by` leaves it no other.
    pub(super) fn follow(&mut self, key: &'static str, text: &'static str, by: &'static str) {
        self.followed.push((key, text, by));
    }

    /// Notes that the setting `by` stands in the place of `key`.
    pub(super) fn replace(&mut self, key: &'static str, by: &'static str) {
        self.replaced.push((key, by));
    }

    /// The value of `setting` as it is in effect.
    pub(super) fn effective(&self, setting: &Setting) -> EffectiveValue {
        let key = setting.key;
        let followed = self.followed.iter().find(|(followed, ..)| *followed == key);
        let (text, origin) = match (followed, self.layers.given(key)) {
            (Some((_, text, by)), _) => ((*text).to_owned(), Origin::Setting(by)),
            (None, Some(given)) => (given.text.clone(), given.origin.clone()),
            (None, None) => (setting.default.to_owned(), Origin::Default),
        };
        let replaced_by = self.replaced.iter().find(|(replaced, _)| *replaced == key);
        EffectiveValue { key, text, origin, replaced_by: replaced_by.map(|(_, by)| *by) }
    }

    /// Whether anyone gave `key` a value.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.layers.given(key).is_some()
    }
}
