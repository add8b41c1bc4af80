//! What the gRPC port answers: services, reflection, and what wraps their calls.

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Layer as _;

use super::{StartError, start::Parts};
use crate::{
    config::Config,
    doors::Doors,
    lifecycle::Lifecycle,
    metrics::Metrics,
    proto::{
        self, maintenance_service_server::MaintenanceServiceServer,
        read_states_service_server::ReadStatesServiceServer,
    },
    rpc::{
        Admission, Bounds, CallLayer, DoorLayer, Health, Limits, Maintenance, PaceBounds, Port,
        Service,
    },
    traces::Tracer,
};

/// What wraps the calls of every service, and is neither setting nor part.
pub(super) struct Wraps {
    pub admission: Admission,
    pub doors: Option<Doors>,
    pub tracer: Tracer,
}

/// A request of health or reflection: a name or two. Health is open to everybody and never refused,
/// so this bounds what a stranger can have the server hold.
const NAME_BYTES: usize = 4 * 1024;

/// Every service, with what wraps their calls. Runtimes may serve it side by side.
pub(super) fn port(
    config: &Config,
    parts: &Parts,
    lifecycle: Lifecycle,
    Wraps { admission, doors, tracer }: Wraps,
) -> Result<Port, StartError> {
    let request_bytes = usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX);
    let limits =
        Limits { items: config.max_items, keys: config.max_keys, page_size: config.max_page_size };
    let service = Service::new(Arc::clone(&parts.engine), limits, lifecycle.clone());
    let service = ReadStatesServiceServer::new(service).max_decoding_message_size(request_bytes);
    let maintenance = Maintenance::new(Arc::clone(&parts.engine), limits, lifecycle.clone());
    let maintenance =
        MaintenanceServiceServer::new(maintenance).max_decoding_message_size(request_bytes);
    let (metrics, lease) = (Arc::clone(&parts.metrics), parts.lease.clone());
    let call_max = config.max_call_time;
    let calls =
        CallLayer::new(metrics, lifecycle.clone(), lease, admission, call_max).traced(tracer);
    let routes = Routes::new(service).add_service(maintenance).add_service(
        HealthServer::new(Health::new(lifecycle)).max_decoding_message_size(NAME_BYTES),
    );
    let routes = if config.reflection { reflecting(routes)? } else { routes };
    // Within what counts calls, around everything that looks into them.
    Ok(calls.layer(DoorLayer::new(doors).layer(routes.prepare())))
}

fn reflecting(routes: Routes) -> Result<Routes, StartError> {
    let assembly = |error: tonic_reflection::server::Error| StartError::Assembly(error.to_string());
    let (v1, v1alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    let v1 = v1.map_err(assembly)?.max_decoding_message_size(NAME_BYTES);
    let v1alpha = v1alpha.map_err(assembly)?.max_decoding_message_size(NAME_BYTES);
    Ok(routes.add_service(v1).add_service(v1alpha))
}

/// How much is taken on at once.
pub(super) fn admission(config: &Config, metrics: &Metrics, life: Lifecycle) -> Admission {
    let bounds = Bounds {
        in_flight: config.max_in_flight,
        bulk_in_flight: config.max_bulk_in_flight,
        streams: config.max_streams,
        waiting_bytes: i64::try_from(config.max_answer_memory).unwrap_or(i64::MAX),
        refusals: PaceBounds {
            per_second: config.refusals_per_second,
            waiting: config.max_waiting_refusals,
            streams_of_connection: config.max_concurrent_streams as usize,
        },
    };
    Admission::new(bounds, metrics, life)
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
