//! The gRPC port: services, reflection and the limits of connections.

use std::{
    future::{self, Future},
    io,
    sync::Arc,
    time::Duration,
};

use futures_util::Stream;
use tonic::{service::Routes, transport};
use tonic_health::pb::health_server::HealthServer;

use super::{StartError, connection::Connection, start::Parts};
use crate::{
    config::Config,
    lifecycle::Lifecycle,
    proto::{
        self, maintenance_service_server::MaintenanceServiceServer,
        read_states_service_server::ReadStatesServiceServer,
    },
    rpc::{CallLayer, Health, Limits, Maintenance, Service},
};

/// A silent connection is asked for a sign of life this often, and cut without one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_GRACE: Duration = Duration::from_secs(20);
/// Bytes of request headers at most.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Calls that clients may cancel at once before h2 takes it for an attack and cuts the connection.
const PENDING_RESETS_MAX: usize = 1024;

/// Every service of the port, with what wraps their calls. Runtimes may serve it side by side.
pub(super) struct Port {
    routes: Routes,
    calls: CallLayer,
}

pub(super) fn routes(
    config: &Config,
    parts: &Parts,
    lifecycle: Lifecycle,
) -> Result<Port, StartError> {
    let request_bytes = usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX);
    let limits =
        Limits { items: config.max_items, keys: config.max_keys, page_size: config.max_page_size };
    let service = Service::new(Arc::clone(&parts.engine), limits, lifecycle.clone());
    let service = ReadStatesServiceServer::new(service).max_decoding_message_size(request_bytes);
    let maintenance = Maintenance::new(Arc::clone(&parts.engine), limits, lifecycle.clone());
    let maintenance =
        MaintenanceServiceServer::new(maintenance).max_decoding_message_size(request_bytes);
    let assembly = |error: tonic_reflection::server::Error| StartError::Assembly(error.to_string());
    let calls = CallLayer::new(Arc::clone(&parts.metrics), lifecycle.clone(), parts.lease.clone());
    let routes = Routes::new(service)
        .add_service(maintenance)
        .add_service(HealthServer::new(Health::new(lifecycle)))
        .add_service(reflection().build_v1().map_err(assembly)?)
        .add_service(reflection().build_v1alpha().map_err(assembly)?);
    Ok(Port { routes, calls })
}

/// With the types of rich errors, so that clients can print them, and with both versions of
/// reflection itself, so that each lists the other.
fn reflection<'a>() -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

impl Port {
    /// Serves what comes in, and once nothing more will, until the last call has ended. The runtime
    /// is that which polls the future.
    pub fn serve(
        &self,
        config: &Config,
        incoming: impl Stream<Item = io::Result<Connection>> + Send + 'static,
    ) -> impl Future<Output = Result<(), transport::Error>> + Send + 'static {
        let mut server = transport::Server::builder()
            .max_concurrent_streams(config.max_concurrent_streams)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_GRACE))
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .layer(self.calls.clone());
        let router = server.add_routes(self.routes.clone());
        // Only where it could be told to does it drain at the end of what comes in.
        router.serve_with_incoming_shutdown(incoming, future::pending())
    }
}
