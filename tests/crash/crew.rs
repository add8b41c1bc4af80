//! All clients of a proof together, and one round of theirs: from a start of the server to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    checker::Finding,
    node::{Client, Node},
    worker::{Shape, Worker},
};

/// Workers with few users and few channels, which make most of the calls in flight.
const MANY: u64 = 112;
const FEW_OF_BOTH: Shape = Shape { users: 3, channels: 6 };
const SMALL: u64 = 12;
/// Workers whose fan-outs are large.
const CROWDS: u64 = 4;
const CROWD: Shape = Shape { users: 150, channels: 1 };
/// Workers whose bulk acks and lists are large.
const HOARDERS: u64 = 4;
const HOARD: Shape = Shape { users: 1, channels: 150 };
const CONNECTIONS: usize = 4;
/// A server that has not answered what a round needs by then hangs.
const ROUND_LIMIT: Duration = Duration::from_secs(120);

/// What happens between two starts of the server.
#[derive(Debug, Default)]
pub struct Round {
    /// Changing calls that were acknowledged ...
    acknowledged: AtomicU64,
    /// ... and how many of them are to be waited for.
    wanted: u64,
    /// Who has to compare everything before that.
    clients: u64,
    enough: Notify,
    compared: AtomicU64,
    cut: AtomicU64,
    over: AtomicBool,
    findings: Mutex<Vec<Finding>>,
}

impl Round {
    fn new(wanted: u64, clients: u64) -> Self {
        Self { wanted, clients, ..Self::default() }
    }

    /// Whether no more calls are to be made.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        !self.is_over() && !self.has_enough()
    }

    /// Every client has compared what it knew, and enough was acknowledged since.
    fn has_enough(&self) -> bool {
        self.acknowledged.load(Ordering::SeqCst) >= self.wanted
            && self.compared.load(Ordering::SeqCst) >= self.clients
    }

    /// A changing call was answered.
    pub fn acknowledge(&self) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        if self.has_enough() {
            self.enough.notify_one();
        }
    }

    /// A client has found everything as it must be.
    pub fn compared(&self) {
        self.compared.fetch_add(1, Ordering::SeqCst);
        if self.has_enough() {
            self.enough.notify_one();
        }
    }

    /// A client's call got no answer.
    pub fn cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// A client was answered what it must not be.
    pub fn found(&self, finding: Finding) {
        self.findings.lock().push(finding);
        self.over.store(true, Ordering::Relaxed);
        self.enough.notify_one();
    }
}

/// What the clients are at when enough is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clients {
    /// They go on until their calls get no answer.
    Calling,
    /// One has found something, and the others make no more calls.
    Done,
}

/// What a round came to.
#[derive(Debug)]
pub struct Tally {
    /// Changing calls that were acknowledged.
    pub acknowledged: u64,
    /// Clients that have compared everything.
    pub compared: u64,
    /// Calls that got no answer.
    pub cut: u64,
    /// What must not be; nothing where all is well.
    pub findings: Vec<Finding>,
}

/// All clients.
pub struct Crew {
    workers: Vec<Worker>,
}

impl Crew {
    pub fn new(seed: u64) -> Self {
        Self::of(seed, &[(MANY, FEW_OF_BOTH), (CROWDS, CROWD), (HOARDERS, HOARD)])
    }

    /// A few clients, for proofs that take one life of a server for each of many cases.
    pub fn small(seed: u64) -> Self {
        Self::of(seed, &[(SMALL, FEW_OF_BOTH)])
    }

    fn of(seed: u64, shapes: &[(u64, Shape)]) -> Self {
        let shapes = shapes.iter().flat_map(|(many, shape)| vec![*shape; *many as usize]);
        let workers = (1..).zip(shapes).map(|(number, shape)| Worker::new(seed, number, shape));
        Self { workers: workers.collect() }
    }

    /// Lets all clients compare what `node` has with what was acknowledged and make calls, until so
    /// many are acknowledged, or no client is left that got an answer. Then `end` has to end the
    /// node; where it waits for something that clients cause, they go on making calls, unless one
    /// of them has found something.
    pub async fn round<T>(
        &mut self,
        node: Node,
        wanted: u64,
        end: impl AsyncFnOnce(Node, Clients) -> T,
    ) -> (T, Tally) {
        let round = Arc::new(Round::new(wanted, self.size()));
        let clients = node.clients(CONNECTIONS).await;
        let mut working = JoinSet::new();
        for (worker, client) in self.workers.drain(..).zip(clients.iter().cycle()) {
            working.spawn(work(worker, client.clone(), Arc::clone(&round)));
        }
        let deadline = Instant::now() + ROUND_LIMIT;
        while round.goes_on() {
            tokio::select! {
                () = round.enough.notified() => break,
                () = sleep_until(deadline) => {
                    round.found(format!("after {ROUND_LIMIT:?}, no {wanted} acknowledgements"));
                }
                ended = working.join_next() => match ended {
                    Some(worker) => self.workers.push(worker.expect("no client panics")),
                    None => break,
                },
            }
        }
        let clients = if round.is_over() { Clients::Done } else { Clients::Calling };
        let ended = end(node, clients).await;
        self.workers.extend(working.join_all().await);
        (ended, round.tally())
    }

    /// Lets all clients compare everything and change nothing.
    pub async fn compare(&mut self, node: &Node) -> Tally {
        let round = Round::default();
        let mut clients = node.clients(1).await;
        for worker in &mut self.workers {
            match worker.compare(&mut clients[0]).await {
                Ok(crate::calls::End::Acknowledged) => round.compared(),
                Ok(other) => round.found(format!("a read after a start ended as {other:?}")),
                Err(finding) => round.found(finding),
            }
        }
        round.tally()
    }

    /// How many clients there are.
    pub fn size(&self) -> u64 {
        self.workers.len() as u64
    }
}

impl Round {
    fn tally(&self) -> Tally {
        Tally {
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            compared: self.compared.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
            findings: std::mem::take(&mut self.findings.lock()),
        }
    }
}

async fn work(mut worker: Worker, mut client: Client, round: Arc<Round>) -> Worker {
    worker.work(&mut client, &round).await;
    worker
}
