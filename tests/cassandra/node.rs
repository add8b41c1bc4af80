//! Clusters of one or three small nodes on addresses of this machine, and a node that all tests of
//! a process share.
//!
//! How long a node took from start to the first answer, median of 3 beside other work on two
//! cores, and what `kit/java.options` does about it:
//!
//! | | s | s of processor | resident MiB |
//! |---|---|---|---|
//! | as it is | 7.5 | 6.3 | 409 |
//! | with the optimizing compiler | 13.2 | 10.9 | 441 |
//! | with the whole heap from the first moment (+ 2 s on an idle machine) | 6.4 | 5.5 | 698 |
//! | with its measuring of memtables | 8.3 | 7.7 | 407 |
//! | with all three | 12.5 | 12.6 | 734 |
//! | with an archive of loaded classes (56 MB, written by a run of its own) | 4.6 | 4.3 | 410 |
//!
//! No management beans, no verification of classes and no wait for gossip made no difference to one
//! node. A keyspace with three tables takes 0.64 s to make, 0.19 s in the shared node.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{sync::OnceCell, time::sleep};

use crate::{
    cql,
    java::{Java, Running},
    tool::skipped,
};

/// Three nodes on a busy machine of two cores take a minute.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Between two questions to nodes that are starting.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Below the ports that systems give out themselves: what is free here stays free, also while a
/// node is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES_MAX: usize = 1_000;

/// Making a table syncs 0.15 s long for a start that the shared node never sees.
const SHARED_FLAGS: &[&str] = &["-Dcassandra.test.flush_local_schema_changes=false"];

const LOG_LINES_MAX: usize = 60;
const LOG_COLUMNS_MAX: usize = 240;

/// Takes all of the ring, or a third each.
const TOKENS: [i64; 3] = [i64::MIN, i64::MIN / 3, -(i64::MIN / 3)];

/// Nodes to test against. Its own ones end with it, or with the process if that is first.
pub struct Cluster {
    /// As HOST:PORT.
    contact_points: Vec<String>,
    /// None where the server is somebody else's.
    nodes: Vec<Node>,
    /// Goes after the nodes.
    _directory: Option<TempDir>,
}

/// One node, whose folder outlives its process.
struct Node {
    home: PathBuf,
    running: Mutex<Option<Running>>,
}

impl Cluster {
    /// The one node that all tests of this process share, or the server that is named to them: to
    /// be used in a keyspace of one's own, and not to be killed or stopped. `None` where there is
    /// neither, which is told.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Result<Cluster, String>>> = OnceCell::const_new();
        let first = || async {
            match env::var("READSTATES_TEST_CASSANDRA") {
                Ok(address) => Some(Self::foreign(address).await),
                Err(_) => Some(Self::new(Java::find()?, 1, SHARED_FLAGS).await),
            }
        };
        match SHARED.get_or_init(first).await {
            Some(Ok(cluster)) => Some(cluster),
            Some(Err(why)) => panic!("{why}"),
            None => {
                skipped("the test needs Cassandra");
                None
            }
        }
    }

    /// Starts a cluster of 1 or 3 empty nodes for one test. `None` where there is nothing to start
    /// them from, or where a server was named, which is told.
    pub async fn start(nodes: usize) -> Option<Self> {
        if env::var_os("READSTATES_TEST_CASSANDRA").is_some() {
            skipped("the test kills nodes, and READSTATES_TEST_CASSANDRA is not ours");
            return None;
        }
        let started = Self::new(Java::find()?, nodes, &[]).await;
        Some(started.unwrap_or_else(|why| panic!("{why}")))
    }

    async fn foreign(address: String) -> Result<Self, String> {
        if !cql::answers(&address).await {
            return Err(format!("READSTATES_TEST_CASSANDRA: {address} does not answer"));
        }
        Ok(Self { contact_points: vec![address], nodes: Vec::new(), _directory: None })
    }

    async fn new(java: Java, nodes: usize, flags: &[&str]) -> Result<Self, String> {
        assert!([1, TOKENS.len()].contains(&nodes), "1 node or 3, not {nodes}");
        let directory = TempDir::with_prefix("readstates-").expect("there is room for a directory");
        let addresses: Vec<String> = (1..=nodes).map(|node| format!("127.0.0.{node}")).collect();
        let [cql_port, storage_port] = free_ports(&addresses);
        let settings = include_str!("kit/cassandra.yaml")
            .replace("@SEEDS@", &addresses.join(","))
            .replace("@CQL_PORT@", &cql_port.to_string())
            .replace("@STORAGE_PORT@", &storage_port.to_string());
        let start = |(address, token): (&String, i64)| {
            let home = directory.path().join(address);
            fs::create_dir(&home).expect("there is room for a directory");
            let settings = settings.replace("@ADDRESS@", address);
            let settings = settings.replace("@TOKEN@", &token.to_string());
            fs::write(home.join("cassandra.yaml"), settings).expect("there is room for a file");
            Node { running: Mutex::new(Some(java.run(&home, flags))), home }
        };
        let nodes = addresses.iter().zip(TOKENS).map(start).collect();
        let contact_points = addresses.iter().map(|ip| format!("{ip}:{cql_port}")).collect();
        let cluster = Self { contact_points, nodes, _directory: Some(directory) };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Where a client may begin, as HOST:PORT.
    pub fn contact_point(&self) -> String {
        self.contact_points[0].clone()
    }

    /// All nodes, as HOST:PORT: different addresses, the same port.
    pub fn contact_points(&self) -> Vec<String> {
        self.contact_points.clone()
    }

    /// Kills a node, counted from 0. What it has written stays, also what it has not synced.
    pub async fn kill(&self, node: usize) {
        let running = self.node(node).running.lock().take();
        running.expect("a node is killed once").kill().await;
    }

    /// Stops a node, counted from 0, which then neither answers nor closes its connections.
    pub fn stop(&self, node: usize) {
        self.signal(node, "STOP");
    }

    /// Lets a stopped node go on.
    pub fn cont(&self, node: usize) {
        self.signal(node, "CONT");
    }

    /// Starts a node again, counted from 0, killing it before if it runs, and waits until it
    /// answers. The others may still take it for down: see [`Self::settled`].
    pub async fn restart(&self, node: usize) {
        let java = Java::find().expect("it was there before");
        let running = self.node(node).running.lock().take();
        if let Some(running) = running {
            running.kill().await;
        }
        let started = java.run(&self.node(node).home, &[]);
        *self.node(node).running.lock() = Some(started);
        let address = &self.contact_points[node];
        self.wait_for(|| cql::answers(address)).await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Waits until every node sees all others up, and all have the same schema. All must run.
    pub async fn settled(&self) {
        let settled = self.wait_for(|| cql::is_settled(&self.contact_points)).await;
        settled.unwrap_or_else(|why| panic!("{why}"));
    }

    /// The end of what a node wrote, counted from 0, for messages of failure.
    pub fn log_tail(&self, node: usize) -> String {
        let Some(node) = self.nodes.get(node) else { return String::new() };
        let log = fs::read(node.home.join("out.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<String> =
            log.lines().map(|line| line.chars().take(LOG_COLUMNS_MAX).collect()).collect();
        lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
    }

    fn node(&self, node: usize) -> &Node {
        self.nodes.get(node).unwrap_or_else(|| panic!("there is no node {node} of ours"))
    }

    fn signal(&self, node: usize, name: &str) {
        self.node(node).running.lock().as_ref().expect("the node runs").signal(name);
    }

    async fn ready(&self) -> Result<(), String> {
        for address in &self.contact_points {
            self.wait_for(|| cql::answers(address)).await?;
        }
        if self.nodes.len() > 1 {
            self.wait_for(|| cql::is_settled(&self.contact_points)).await?;
        }
        Ok(())
    }

    /// Asks until the answer is yes; an error once a node has ended or the limit is reached.
    async fn wait_for<F>(&self, yes: impl Fn() -> F) -> Result<(), String>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + START_LIMIT;
        while !yes().await {
            if let Some(ended) = self.ended() {
                return Err(format!("node {ended} ended:\n{}", self.log_tail(ended)));
            }
            if Instant::now() > deadline {
                let tails: Vec<_> = (0..self.nodes.len()).map(|node| self.log_tail(node)).collect();
                return Err(format!("not ready in time:\n{}", tails.join("\n\n")));
            }
            sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// A node that ended without being killed.
    fn ended(&self) -> Option<usize> {
        let has_ended =
            |node: &Node| node.running.lock().as_ref().is_some_and(|running| running.has_ended());
        self.nodes.iter().position(has_ended)
    }
}

/// Two ports that are free on all of `addresses`.
fn free_ports(addresses: &[String]) -> [u16; 2] {
    let mut taken = Vec::new();
    for _ in 0..PORT_TRIES_MAX {
        let port = rand::random_range(PORTS);
        let bind = |address: &String| TcpListener::bind((address.as_str(), port));
        // Held until the other one is found.
        if let Ok(listeners) = addresses.iter().map(bind).collect::<Result<Vec<_>, _>>() {
            taken.push((port, listeners));
        }
        if let [(first, _), (second, _)] = taken[..] {
            return [first, second];
        }
    }
    panic!("no two ports of {PORTS:?} are free on {addresses:?}");
}
