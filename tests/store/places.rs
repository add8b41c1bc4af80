//! Where the stores under test rest.

use std::sync::Arc;

use readstates::store::{EmbeddedOptions, EmbeddedStore, FaultStore, MemoryStore, Store};
use tempfile::TempDir;

use crate::contract::{Place, contract};

#[derive(Default)]
pub struct Memory(MemoryStore);

impl Place for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.reopen();
        Arc::new(self.0.clone())
    }
}

/// A folder that goes away with it.
pub struct Folder(pub TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

impl Place for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        let options = EmbeddedOptions::new(self.0.path().join("store"));
        Arc::new(EmbeddedStore::open(&options).expect("the store opens"))
    }
}

/// Beneath a fault store that was told nothing.
#[derive(Default)]
pub struct Beneath<P>(P);

impl<P: Place> Place for Beneath<P> {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(FaultStore::new(self.0.open().await))
    }
}

contract!(memory, crate::places::Memory::default());
contract!(embedded, crate::places::Folder::default());
contract!(fault, crate::places::Beneath::<crate::places::Memory>::default());
