//! The way to a cluster: a driver's session on a runtime of its own, so that calls of any thread
//! wait for it and none works for it.

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use scylla::{
    client::{
        execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder,
    },
    policies::{
        load_balancing::DefaultPolicy, speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    statement::{Consistency, SerialConsistency},
};
use tokio::runtime::{Builder, Runtime};

use super::{
    CassandraOptions,
    failure::{invalid, unavailable},
    options::TlsFiles,
};
use crate::{config::ReplicaQuorum, store::StoreError};

/// Threads that encode, decode, read and write for the cluster's connections.
const THREADS: usize = 1;
const THREAD_NAME: &str = "store-driver";

/// A session with the runtime that it lives on.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) runtime: DriverRuntime,
}

/// Ends in the background: where it is dropped nobody may wait.
pub(super) struct DriverRuntime(Option<Runtime>);

impl DriverRuntime {
    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name(THREAD_NAME).enable_all();
        builder.build().map(|runtime| Self(Some(runtime)))
    }

    /// Runs `work` to its end, whether or not anybody waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = self.0.as_ref().ok_or(StoreError::Closed)?;
        runtime.spawn(work).await.map_err(unavailable)?
    }
}

impl Drop for DriverRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens connections to the cluster.
pub(super) async fn connect(options: &CassandraOptions) -> Result<Connected, StoreError> {
    let runtime = DriverRuntime::start()?;
    let builder = builder(options)?;
    let points = options.contact_points.join(", ");
    let session = runtime.run(async move {
        let built = builder.build().await;
        built.map_err(|error| unavailable(format!("no node answers at {points}: {error}")))
    });
    let session = session.await?;
    check_datacenters(&session, options)?;
    Ok(Connected { session, runtime })
}

/// Whose quorum a local one is must be settled: of two datacenters, one would not know what the
/// other has confirmed.
fn check_datacenters(session: &Session, options: &CassandraOptions) -> Result<(), StoreError> {
    if !options.datacenter.is_empty() || options.quorum == ReplicaQuorum::Global {
        return Ok(());
    }
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    let found: BTreeSet<&str> = nodes.filter_map(|node| node.datacenter.as_deref()).collect();
    if found.len() <= 1 {
        return Ok(());
    }
    let found = found.into_iter().collect::<Vec<_>>().join(", ");
    Err(invalid(format!(
        "the cluster has datacenters {found}; name one with cassandra-datacenter, the same for all \
         services of this keyspace, or set cassandra-consistency to quorum"
    )))
}

fn builder(options: &CassandraOptions) -> Result<SessionBuilder, StoreError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .connection_timeout(options.connect_within)
        .keyspaces_to_fetch([&options.keyspace])
        .default_execution_profile_handle(profile(options).into_handle());
    if let Some((name, password)) = &options.credentials {
        builder = builder.user(name, password.reveal());
    }
    if let Some(files) = &options.tls {
        builder = builder.tls_context(Some(Arc::new(tls(files).map_err(invalid)?)));
    }
    Ok(builder)
}

fn profile(options: &CassandraOptions) -> ExecutionProfile {
    let mut nodes = DefaultPolicy::builder().token_aware(true);
    if !options.datacenter.is_empty() {
        nodes = nodes.prefer_datacenter(options.datacenter.clone());
    }
    ExecutionProfile::builder()
        .consistency(match options.quorum {
            ReplicaQuorum::Local | ReplicaQuorum::Each => Consistency::LocalQuorum,
            ReplicaQuorum::Global => Consistency::Quorum,
        })
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(options.request_within))
        .load_balancing_policy(nodes.build())
        .build()
}

/// The profile of reads: sent to a second node where the first is slow, if that is wanted.
pub(super) fn read_profile(options: &CassandraOptions) -> ExecutionProfile {
    let plain = profile(options);
    match options.speculate_after {
        None => plain,
        Some(retry_interval) => plain
            .to_builder()
            .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
                max_retry_count: 1,
                retry_interval,
            })))
            .build(),
    }
}

/// What the files make of a client, or what is wrong with them.
pub(super) fn tls(files: &TlsFiles) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(&files.ca)?);
    match &files.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, error)),
    }
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = fs::read(path).map_err(|error| unusable(path, error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(path, "it has no certificate")),
        found => found.map_err(|error| unusable(path, error)),
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let read = fs::read(path).map_err(|error| unusable(path, error))?;
    PrivateKeyDer::from_pem_slice(&read).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{} cannot be used: {error}", path.display())
}
