//! The names of a simulated folder: as seen now, as kept by a power cut, and what is between.

use std::{collections::BTreeMap, io};

use rand::{Rng as _, RngCore};

type Table = BTreeMap<String, usize>;

/// A change of names that is not yet durable.
#[derive(Clone)]
enum Change {
    Put(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

impl Change {
    fn apply(&self, table: &mut Table) {
        match self {
            Self::Put(name, file) => {
                table.insert(name.clone(), *file);
            }
            Self::Rename(from, to, file) => {
                table.remove(from);
                table.insert(to.clone(), *file);
            }
            Self::Remove(name) => {
                table.remove(name);
            }
        }
    }
}

/// Which file each name is of.
#[derive(Default)]
pub(super) struct Names {
    live: Table,
    kept: Table,
    pending: Vec<Change>,
}

impl Names {
    pub(super) fn put_durable(&mut self, name: String, file: usize) {
        self.live.insert(name.clone(), file);
        self.kept.insert(name, file);
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.live.get(name).copied()
    }

    pub(super) fn name_of(&self, file: usize) -> Option<String> {
        self.live.iter().find(|(_, named)| **named == file).map(|(name, _)| name.clone())
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &str> {
        self.live.keys().map(String::as_str)
    }

    pub(super) fn durable(&self) -> impl Iterator<Item = (&str, usize)> {
        self.kept.iter().map(|(name, file)| (name.as_str(), *file))
    }

    pub(super) fn put(&mut self, name: &str, file: usize) {
        self.change(Change::Put(name.to_owned(), file));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.find(name).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.kept);
        }
    }

    /// What is kept, with the unsynced changes that chance keeps.
    pub(super) fn after_power_cut(&self, chance: &mut dyn RngCore) -> Table {
        let mut table = self.kept.clone();
        for change in &self.pending {
            if chance.random_bool(0.5) {
                change.apply(&mut table);
            }
        }
        table
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }
}
