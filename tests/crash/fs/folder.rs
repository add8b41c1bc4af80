//! A folder: the names it shows, those that last, and what lies between.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use rand::{Rng as _, rngs::StdRng};

/// Names and the numbers of what they name.
pub type Names = BTreeMap<OsString, u64>;

#[derive(Clone, Debug)]
enum Change {
    Put(OsString, u64),
    Remove(OsString),
    Rename(OsString, OsString),
}

impl Change {
    fn on(&self, names: &mut Names) {
        match self {
            Self::Put(name, number) => {
                names.insert(name.clone(), *number);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Folder {
    live: Names,
    durable: Names,
    unsynced: Vec<Change>,
}

impl Folder {
    /// One that shows and keeps these.
    pub fn of(names: Names) -> Self {
        Self { live: names.clone(), durable: names, unsynced: Vec::new() }
    }

    pub fn live(&self) -> &Names {
        &self.live
    }

    pub fn put(&mut self, name: &OsStr, number: u64) {
        self.change(Change::Put(name.to_owned(), number));
    }

    pub fn remove(&mut self, name: &OsStr) {
        self.change(Change::Remove(name.to_owned()));
    }

    pub fn rename(&mut self, from: &OsStr, to: &OsStr) {
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
    }

    fn change(&mut self, change: Change) {
        change.on(&mut self.live);
        self.unsynced.push(change);
    }

    /// From now on every name shown lasts.
    pub fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.on(&mut self.durable);
        }
    }

    /// What a power cut leaves: file systems keep the changes of a folder in order.
    pub fn after_power_cut(&self, rng: &mut StdRng) -> Names {
        let mut left = self.durable.clone();
        let reached = match rng.random_range(0..4) {
            0 => 0,
            1 => self.unsynced.len(),
            _ => rng.random_range(0..=self.unsynced.len()),
        };
        self.unsynced[..reached].iter().for_each(|change| change.on(&mut left));
        left
    }
}
