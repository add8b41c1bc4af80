//! The contract of all stores, on a real node.

use std::sync::Arc;

use readstates::store::Store;

use crate::{
    contract::{Place, contract},
    keyspace::Keyspace,
};

impl Place for Keyspace {
    async fn open(&self) -> Arc<dyn Store> {
        self.store().await.expect("there is a node")
    }

    async fn is_there(&self) -> bool {
        self.options().await.is_some()
    }
}

contract!(cassandra, crate::keyspace::Keyspace::default());
