//! Assembly: one function per component, and the order in which they start and stop.
//!
//! ```text
//! bind ports -> take and read the journal -> open store -> begin journal -> cache -> replay
//!            -> raise clock -> flusher -> engine -> serve -> Ready
//! signal -> Draining -> calls end, or drain-timeout -> flush, or flush-timeout -> persist
//!        -> seal journal -> close store -> Stopped
//! journal fails -> waiting calls are told -> Stopped, nothing flushed; the next start recovers
//! ```

mod connection;
mod dealer;
mod error;
mod grpc;
mod journaling;
mod past;
mod serve_thread;
mod serving;
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
    config::Config,
    journal::Recovery,
    lifecycle::{Lifecycle, Phase},
    store::Store,
};
use serving::Serving;

/// A server whose ports are bound and whose parts run, but which does not answer calls yet.
pub struct Server {
    config: Config,
    lifecycle: Lifecycle,
    parts: start::Parts,
    grpc: TcpListener,
    admin: JoinHandle<()>,
    admin_shutdown: oneshot::Sender<()>,
    admin_address: SocketAddr,
}

impl Server {
    /// Binds the ports, opens the store that the configuration names and starts everything else.
    ///
    /// # Errors
    /// What stands in the way, and what to do about it.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let (grpc, admin) = start::bind(&config).await?;
        let found = journaling::find(&config).await?;
        let is_journaled = found.as_ref().is_some_and(|recovery| !recovery.is_new());
        let store = start::open_store(&config, is_journaled).await?;
        Self::assemble(config, clock, store, found, (grpc, admin)).await
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
        let ports = start::bind(&config).await?;
        let found = journaling::find(&config).await?;
        Self::assemble(config, clock, store, found, ports).await
    }

    async fn assemble(
        config: Config,
        clock: Clock,
        store: Arc<dyn Store>,
        found: Option<Recovery>,
        (grpc, admin): (TcpListener, TcpListener),
    ) -> Result<Self, StartError> {
        let lifecycle = Lifecycle::new();
        let parts = start::parts(&config, clock, store, found).await?;
        let admin_address = admin.local_addr().map_err(StartError::Listen)?;
        let (admin_shutdown, ended) = oneshot::channel::<()>();
        let metrics = Arc::clone(&parts.metrics);
        let serving = admin::serve(admin, metrics, lifecycle.clone(), async {
            // Ends too where the sender is gone: then nobody is left to serve for.
            ended.await.ok();
        });
        let admin = tokio::spawn(async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        Ok(Self { config, lifecycle, parts, grpc, admin, admin_shutdown, admin_address })
    }

    /// The phases of this server's life.
    pub fn lifecycle(&self) -> Lifecycle {
        self.lifecycle.clone()
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
        self.admin_address
    }

    /// Answers calls until `shutdown` asks to end, then drains and flushes. Says what was left.
    ///
    /// # Errors
    /// Where the port cannot be served.
    pub async fn run(self, shutdown: Shutdown) -> Result<Stopped, StartError> {
        let address = self.grpc_address()?;
        let port = grpc::routes(&self.config, &self.parts, self.lifecycle.clone())?;
        let (drain, draining) = oneshot::channel::<()>();
        let drained = async {
            draining.await.ok();
        };
        let journal = self.parts.journal.as_ref().map(|journaling| &journaling.journal);
        let connections = &self.parts.metrics.connections;
        let mut serving =
            Serving::start(&self.config, self.grpc, &port, journal, connections, drained)?;
        self.lifecycle.advance(Phase::Ready);
        info!("listening grpc={address} admin={}", self.admin_address);
        info!("try: grpcurl -plaintext {address} list");
        let stopping = shutdown::Stopping {
            config: &self.config,
            lifecycle: &self.lifecycle,
            shutdown,
            serving: &mut serving.all,
            drain,
        };
        let stopped = stopping.run(self.parts).await;
        self.admin_shutdown.send(()).ok();
        self.admin.await.ok();
        serving.end().await;
        stopped
    }
}
