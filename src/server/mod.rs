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

mod connection;
mod dealer;
mod error;
mod grpc;
mod journaling;
mod merging;
mod past;
mod serve_thread;
mod serving;
mod shared;
mod shutdown;
mod start;

use std::{net::SocketAddr, sync::Arc};

pub use error::StartError;
pub use serving::main_runtime;
pub use shutdown::{Shutdown, Stopped};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tracing::info;

use crate::{
    admin,
    clock::Clock,
    config::{Config, StoreKind},
    journal::Recovery,
    lifecycle::{Lifecycle, Phase},
    metrics::Metrics,
    store::Store,
};
use merging::Merging;
use serving::Serving;

/// A server whose ports are bound and whose parts run, but which does not answer calls yet.
pub struct Server {
    config: Config,
    front: Front,
    parts: start::Parts,
    grpc: TcpListener,
}

/// What is answered before everything runs: probes and metrics.
struct Front {
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    admin: JoinHandle<()>,
    /// Ends the admin port, also where it is dropped.
    admin_shutdown: oneshot::Sender<()>,
    admin_address: SocketAddr,
}

impl Front {
    async fn start(config: &Config) -> Result<Self, StartError> {
        let admin = start::listen_admin(config).await?;
        let admin_address = admin.local_addr().map_err(StartError::Listen)?;
        let metrics = Metrics::new().map_err(|error| StartError::Assembly(error.to_string()))?;
        let (metrics, lifecycle) = (Arc::new(metrics), Lifecycle::new());
        let (admin_shutdown, ended) = oneshot::channel::<()>();
        let serving = admin::serve(admin, Arc::clone(&metrics), lifecycle.clone(), async {
            // Ends too where the sender is gone: then nobody is left to serve for.
            ended.await.ok();
        });
        let admin = tokio::spawn(async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        Ok(Self { lifecycle, metrics, admin, admin_shutdown, admin_address })
    }
}

impl Server {
    /// Starts a server and serves until `shutdown` asks to end, which a standby may be asked
    /// before it serves. Says what was left.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub async fn serve(
        config: Config,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Result<Stopped, StartError> {
        let asked = shutdown.clone();
        match Self::start_unless(config, clock, asked.asked()).await {
            Ok(server) => server.run(shutdown).await,
            Err(StartError::Interrupted) => Ok(Stopped { unflushed: 0 }),
            Err(error) => Err(error),
        }
    }

    /// Binds the ports, opens the store that the configuration names and starts everything else.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::start_unless(config, clock, std::future::pending()).await
    }

    /// As [`Self::start`], unless it is asked to end while it waits for another service.
    async fn start_unless(
        config: Config,
        clock: Clock,
        asked: impl Future<Output = ()>,
    ) -> Result<Self, StartError> {
        let front = Front::start(&config).await?;
        let early = if config.standby { None } else { Some(start::listen_grpc(&config).await?) };
        let found = journaling::find(&config).await?;
        let (opened, found) = tokio::select! {
            opened = start::open_store(&config, found, &front.metrics) => opened?,
            () = asked, if config.store == StoreKind::Cassandra => {
                return Err(StartError::Interrupted);
            }
        };
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
        let grpc = start::listen_grpc(&config).await?;
        let front = Front::start(&config).await?;
        let found = journaling::find(&config).await?;
        Self::assemble(config, clock, front, start::Opened::alone(store), found, grpc).await
    }

    async fn assemble(
        config: Config,
        clock: Clock,
        front: Front,
        opened: start::Opened,
        found: Option<Recovery>,
        grpc: TcpListener,
    ) -> Result<Self, StartError> {
        let metrics = Arc::clone(&front.metrics);
        if let Some(lease) = opened.lease.clone() {
            let lifecycle = front.lifecycle.clone();
            tokio::spawn(lease.follow(move |held| lifecycle.suspend(!held)));
        }
        let parts = start::parts(&config, clock, opened, found, metrics).await?;
        Ok(Self { config, front, parts, grpc })
    }

    /// The phases of this server's life.
    pub fn lifecycle(&self) -> Lifecycle {
        self.front.lifecycle.clone()
    }

    /// Where gRPC is answered.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn grpc_address(&self) -> Result<SocketAddr, StartError> {
        self.grpc.local_addr().map_err(StartError::Listen)
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
        let address = self.grpc_address()?;
        let front = self.front;
        let port = grpc::routes(&self.config, &self.parts, front.lifecycle.clone())?;
        let mut merging = self.parts.offers.clone().map(|table| {
            let (engine, metrics) = (Arc::clone(&self.parts.engine), &self.parts.metrics);
            Merging::new(table, engine, metrics.offers.clone())
        });
        if let Some(merging) = &mut merging {
            merging.at_start().await;
        }
        let (drain, draining) = oneshot::channel::<()>();
        let drained = async {
            draining.await.ok();
        };
        let journal = self.parts.journal.as_ref().map(|journaling| &journaling.journal);
        let connections = &self.parts.metrics.connections;
        let mut serving =
            Serving::start(&self.config, self.grpc, &port, journal, connections, drained)?;
        front.lifecycle.advance(Phase::Ready);
        if let Some(merging) = merging {
            tokio::spawn(merging.keep(front.lifecycle.clone()));
        }
        info!("listening grpc={address} admin={}", front.admin_address);
        info!("try: grpcurl -plaintext {address} list");
        let stopping = shutdown::Stopping {
            config: &self.config,
            lifecycle: &front.lifecycle,
            shutdown,
            serving: &mut serving.all,
            drain,
        };
        let stopped = stopping.run(self.parts).await;
        front.admin_shutdown.send(()).ok();
        front.admin.await.ok();
        serving.end().await;
        stopped
    }
}
