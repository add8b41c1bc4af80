//! What a device holds of one user.

use std::collections::BTreeMap;

use readstates::{
    engine::Event,
    model::{Cause, Key, Version, View},
};

/// A copy of one user's states. The rules are those of the contract: the newest version of a key
/// wins, what is not above the version to resume from is known already, RESYNC drops everything.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// Tombstones included, so that a page that comes late does not revive a state.
    held: BTreeMap<Key, View>,
    /// Everything up to here is held; `None` before there was a snapshot.
    resume: Option<Version>,
    /// Everything between the beginning of the stream and here came.
    heard: Version,
}

impl Copy {
    /// Where to go on.
    pub fn resume(&self) -> Option<Version> {
        self.resume
    }

    /// The states that exist.
    pub fn states(&self) -> BTreeMap<Key, View> {
        let existing = self.held.iter().filter(|(_, view)| view.exists());
        existing.map(|(key, view)| (*key, *view)).collect()
    }

    /// A stream without a catch-up begins.
    pub fn listen(&mut self) {
        self.heard = Version::ZERO;
    }

    pub fn take(&mut self, event: &Event) {
        match (event.cause, &event.state) {
            (Cause::Resync, _) => {
                self.held.clear();
                self.resume = Some(event.version);
            }
            (_, Some((key, view))) => self.hold(*key, *view),
            _ => {}
        }
        self.heard = self.heard.max(event.version);
        self.resume = self.resume.map(|version| version.max(event.version));
    }

    /// A state of a list or an event.
    pub fn hold(&mut self, key: Key, view: View) {
        if self.resume.is_some_and(|version| view.version <= version) {
            return;
        }
        let held = self.held.entry(key).or_insert(view);
        if held.version < view.version {
            *held = view;
        }
    }

    /// A whole list was taken in. What a full set does not name is gone, unless it is newer.
    pub fn listed(&mut self, version: Version, full: Option<&BTreeMap<Key, View>>) {
        if let Some(full) = full {
            self.held.retain(|key, view| view.version > version || full.contains_key(key));
        }
        self.resume = Some(version.max(self.heard)).max(self.resume);
    }
}
