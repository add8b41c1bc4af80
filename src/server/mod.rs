//! Assembly: one function per component, and the order in which they start and stop.
//!
//! ```text
//! bind ports -> take and read the journal -> open store -> begin journal -> cache -> replay
//!            -> raise clock -> flusher -> engine -> serve -> Ready
//!               a shared store is opened under its lease; a standby waits there, offers what its
//!               journal has to who serves, and binds its gRPC port only then
//! signal -> Draining -> calls end, or drain-timeout -> flush, or flush-timeout -> persist
//!        -> seal journal -> close store -> release lease -> Stopped
//! journal fails -> waiting calls are told -> Stopped, nothing flushed; the next start recovers
//! ```

mod certificates;
mod doorkeeper;
mod error;
mod grpc;
mod journaling;
mod memory_watch;
mod merging;
mod past;
mod resolved;
mod serve_thread;
mod serving;
mod shared;
mod shutdown;
mod start;
mod supervisor;

use std::{net::SocketAddr, sync::Arc, time::Duration};

pub use error::StartError;
pub use resolved::resolved;
pub use serving::main_runtime;
pub use shutdown::{Shutdown, Stopped};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tracing::info;

use crate::{
    admin,
    clock::Clock,
    config::{Config, Listen, ListenAddress},
    doors::Doors,
    edge::{Edge, Listener},
    journal::Recovery,
    lifecycle::{Lifecycle, Phase},
    metrics::Metrics,
    store::Store,
    traces::Tracer,
};
use certificates::Certificates;
use doorkeeper::Doorkeeper;
use merging::Merging;
use serving::Serving;
use supervisor::Supervisor;

/// How long the last word to who supervises the server may take.
const LAST_WORD_GRACE: Duration = Duration::from_secs(1);

/// A server whose ports are bound and whose parts run, but which does not answer calls yet.
pub struct Server {
    config: Config,
    front: Front,
    parts: start::Parts,
    grpc: Vec<Listener>,
}

/// Tells who supervises this process how it goes, if there is anyone; ends with the life.
fn tell_supervisor(
    config: &Config,
    lifecycle: Lifecycle,
    shutdown: Shutdown,
) -> Option<JoinHandle<()>> {
    let supervisor = Supervisor::of_environment(shutdown::stop_within(config))?;
    let asked = async move { shutdown.asked().await };
    Some(tokio::spawn(supervisor.follow(lifecycle, asked)))
}

/// What is answered before everything runs: probes and metrics.
struct Front {
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    /// Keeps the doors in step with their file.
    doorkeeper: Option<Doorkeeper>,
    /// What connections are encrypted with, kept in step with its files.
    certificates: Option<Certificates>,
    admin: JoinHandle<()>,
    /// Ends the admin port, also where it is dropped.
    admin_shutdown: oneshot::Sender<()>,
    admin_address: SocketAddr,
}

impl Front {
    async fn start(
        config: &Config,
        clock: &Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new().map_err(|error| StartError::Assembly(error.to_string()))?;
        let metrics = Arc::new(metrics);
        // Before anything is bound: a file that is wrong is one of many wrong settings.
        let doorkeeper = Doorkeeper::start(config, clock, &metrics)?;
        let certificates = Certificates::open(config, &metrics)?;
        let admin = start::listen_admin(config).await?;
        let admin_address = admin.local_addr().map_err(StartError::Listen)?;
        let (admin_shutdown, ended) = oneshot::channel::<()>();
        let shown = config.metrics.then(|| Arc::clone(&metrics));
        let serving = admin::serve(admin, shown, lifecycle.clone(), async {
            // Ends too where the sender is gone: then nobody is left to serve for.
            ended.await.ok();
        });
        let admin = tokio::spawn(async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        Ok(Self {
            lifecycle,
            metrics,
            doorkeeper,
            certificates,
            admin,
            admin_shutdown,
            admin_address,
        })
    }
}

impl Server {
    /// Starts a server and serves until `shutdown` asks to end, which a standby may be asked
    /// before it serves. Says what was left. Who supervises this process is told how it goes.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub async fn serve(
        config: Config,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Result<Stopped, StartError> {
        let lifecycle = Lifecycle::new();
        let told = tell_supervisor(&config, lifecycle.clone(), shutdown.clone());
        let asked = shutdown.clone();
        let started = Self::start_unless(config, clock, lifecycle.clone(), asked.asked()).await;
        let stopped = match started {
            Ok(server) => server.run(shutdown).await,
            Err(StartError::Interrupted) => Ok(Stopped { unflushed: 0 }),
            Err(error) => Err(error),
        };
        lifecycle.advance(Phase::Stopped);
        if let Some(told) = told {
            timeout(LAST_WORD_GRACE, told).await.ok();
        }
        stopped
    }

    /// Binds the ports, opens the store that the configuration names and starts everything else.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::start_unless(config, clock, Lifecycle::new(), std::future::pending()).await
    }

    /// As [`Self::start`], unless it is asked to end while it waits for another service.
    async fn start_unless(
        config: Config,
        clock: Clock,
        lifecycle: Lifecycle,
        asked: impl Future<Output = ()>,
    ) -> Result<Self, StartError> {
        let front = Front::start(&config, &clock, lifecycle).await?;
        let early = if config.standby { None } else { Some(start::listen_grpc(&config).await?) };
        let found = journaling::find(&config).await?;
        let (opened, found) = start::open_store(&config, found, &front, asked).await?;
        let lease = opened.lease.clone();
        let begun = async {
            let grpc = match early {
                Some(grpc) => grpc,
                None => start::listen_grpc(&config).await?,
            };
            Self::assemble(config, clock, front, opened, found, grpc).await
        };
        let begun = begun.await;
        if let (Err(_), Some(lease)) = (&begun, lease) {
            // Others need not wait until it has run out.
            lease.release().await;
        }
        begun
    }

    /// As [`Self::start`], over a store that is open already.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn start_on(
        config: Config,
        clock: Clock,
        store: Arc<dyn Store>,
    ) -> Result<Self, StartError> {
        let front = Front::start(&config, &clock, Lifecycle::new()).await?;
        let grpc = start::listen_grpc(&config).await?;
        let found = journaling::find(&config).await?;
        Self::assemble(config, clock, front, start::Opened::alone(store), found, grpc).await
    }

    async fn assemble(
        config: Config,
        clock: Clock,
        front: Front,
        opened: start::Opened,
        found: Option<Recovery>,
        grpc: Vec<Listener>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::clone(&front.metrics);
        if let Some(lease) = opened.lease.clone() {
            let lifecycle = front.lifecycle.clone();
            tokio::spawn(lease.follow(move |held| lifecycle.suspend(!held)));
        }
        if let Some(certificates) = &front.certificates {
            // It may have stood by for long: callers come the moment that it serves.
            certificates.refresh().await;
        }
        let parts = start::parts(&config, clock, opened, found, metrics).await?;
        Ok(Self { config, front, parts, grpc })
    }

    /// The phases of this server's life.
    pub fn lifecycle(&self) -> Lifecycle {
        self.front.lifecycle.clone()
    }

    /// Who may call what; `None` where everyone may.
    pub fn doors(&self) -> Option<Doors> {
        self.front.doorkeeper.as_ref().map(Doorkeeper::doors)
    }

    /// Where gRPC is answered, with the ports that were picked.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn grpc_addresses(&self) -> Result<Listen, StartError> {
        let addresses: Result<Vec<ListenAddress>, _> =
            self.grpc.iter().map(Listener::address).collect();
        addresses.map(Listen::on).map_err(StartError::Listen)
    }

    /// The first of them that is of the network.
    ///
    /// # Errors
    /// Where there is none, or the system does not tell.
    pub fn grpc_address(&self) -> Result<SocketAddr, StartError> {
        let none = || StartError::Assembly("no address of the network is listened on".to_owned());
        self.grpc_addresses()?.tcp().next().ok_or_else(none)
    }

    /// Where metrics and probes are answered.
    pub fn admin_address(&self) -> SocketAddr {
        self.front.admin_address
    }

    /// Answers calls until `shutdown` asks to end, then drains and flushes. Says what was left.
    ///
    /// # Errors
    /// Where the port cannot be served.
    pub async fn run(self, shutdown: Shutdown) -> Result<Stopped, StartError> {
        let (addresses, doors) = (self.grpc_addresses()?, self.doors());
        let front = self.front;
        let lifecycle = front.lifecycle.clone();
        let admission = grpc::admission(&self.config, &self.parts.metrics, lifecycle.clone());
        let tracer = Tracer::start(&self.parts.metrics);
        let wraps = grpc::Wraps { admission: admission.clone(), doors, tracer: tracer.clone() };
        let port = grpc::port(&self.config, &self.parts, lifecycle, wraps)?;
        if let Some(table) = self.parts.offers.clone() {
            let (engine, metrics) = (Arc::clone(&self.parts.engine), &self.parts.metrics);
            let merging = Merging::new(table, engine, metrics.offers.clone());
            merging.start(front.lifecycle.clone()).await;
        }
        let (drain, draining) = oneshot::channel::<()>();
        let drained = async {
            draining.await.ok();
        };
        let journal = self.parts.journal.as_ref().map(|journaling| &journaling.journal);
        let connections = &self.parts.metrics.connections;
        let tls = front.certificates.as_ref().map(Certificates::tls);
        let is_plain = tls.is_none();
        let edge = Edge::new(&self.config, port, tls, connections.clone());
        let serving = Serving::start(&self.config, self.grpc, &edge, journal, connections, drained);
        let mut serving = serving.inspect_err(|_| {
            // For whoever does something until then.
            front.lifecycle.advance(Phase::Stopped);
        })?;
        let mut looking = JoinSet::new();
        looking.spawn(self.parts.memory.clone().keep(admission));
        front.lifecycle.advance(Phase::Ready);
        info!("listening grpc={addresses} admin={}", front.admin_address);
        if let (Some(address), true) = (addresses.tcp().next(), is_plain) {
            info!("try: grpcurl -plaintext {address} list");
        }
        let stopping = shutdown::Stopping {
            config: &self.config,
            lifecycle: &front.lifecycle,
            shutdown,
            serving: &mut serving.all,
            drain,
        };
        let stopped = stopping.run(self.parts).await;
        tracer.stop().await;
        front.admin_shutdown.send(()).ok();
        front.admin.await.ok();
        serving.end().await;
        stopped
    }
}
