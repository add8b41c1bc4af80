//! Keyspaces for tests: each has one of its own, and leaves it to the next, since a node bears only
//! so many.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use readstates::store::{self, CassandraOptions, CassandraStore, Replication};
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::OnceCell;

use crate::node::Cluster;

/// Keyspaces that nobody uses now.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A shared node of a busy machine may take long to make a table.
const PATIENCE: Duration = Duration::from_secs(60);

const TABLES: [&str; 5] = ["read_states", "tombstones", "meta", "lease", "offers"];

/// An empty keyspace of the shared node; made when it is first asked for.
#[derive(Default)]
pub struct Keyspace(OnceCell<Option<CassandraOptions>>);

impl Drop for Keyspace {
    fn drop(&mut self) {
        FREE.lock().extend(self.0.take().flatten().map(|options| options.keyspace));
    }
}

impl Keyspace {
    /// Where it is; `None` where there is no node, which is told.
    pub async fn options(&self) -> Option<CassandraOptions> {
        self.0.get_or_init(Self::make).await.clone()
    }

    /// The flags with which a server uses it.
    pub async fn flags(&self) -> Option<Vec<String>> {
        self.options().await.map(|options| flags(&options))
    }

    /// A store in it.
    pub async fn store(&self) -> Option<Arc<CassandraStore>> {
        let cluster = store::Cluster::connect(self.options().await?).await.expect("a cluster");
        Some(Arc::new(cluster.store(0).await.expect("a store")))
    }

    async fn make() -> Option<CassandraOptions> {
        let point = Cluster::shared().await?.contact_point();
        let used = FREE.lock().pop();
        let name = used.clone().unwrap_or_else(|| format!("test_{:016x}", rand::random::<u64>()));
        let options = patient(&point, &name);
        if let Some(used) = used {
            let session = SessionBuilder::new().known_node(point).build().await.expect("a node");
            for table in TABLES {
                let truncate = format!("TRUNCATE {used}.{table}");
                session.query_unpaged(truncate, ()).await.expect("an empty table");
            }
        }
        let applied = store::Cluster::apply_schema(&options, Replication { factor: 1 }).await;
        applied.expect("a schema");
        Some(options)
    }
}

/// A keyspace, for calls that may take long.
pub fn patient(point: &str, keyspace: &str) -> CassandraOptions {
    CassandraOptions { request_within: PATIENCE, ..CassandraOptions::new(point, keyspace) }
}

/// The flags with which a server uses this keyspace.
pub fn flags(options: &CassandraOptions) -> Vec<String> {
    let points = options.contact_points.join(",");
    ["--store", "cassandra", "--cassandra-contact-points", &points]
        .into_iter()
        .chain(["--cassandra-keyspace", &options.keyspace])
        .map(str::to_owned)
        .collect()
}
