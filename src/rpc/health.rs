//! `grpc.health.v1`. Own, because the ready-made one ends a `Watch` of an unknown name with
//! NOT_FOUND, where the protocol says SERVICE_UNKNOWN and keep the stream open.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as HealthService,
};

use super::{reason::Reason, status::Failure};
use crate::lifecycle::{Lifecycle, Phase};

/// The service under which health and reflection know this server.
pub const SERVICE_NAME: &str = "readstates.v1.ReadStatesService";
const LIVENESS: &str = "liveness";

/// Health by the server's phase: `""` and the service serve while it is ready, `liveness` while the
/// process works.
pub struct Health {
    lifecycle: Lifecycle,
}

impl Health {
    /// Health of the server whose life this is.
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { lifecycle }
    }
}

fn status(service: &str, phase: Phase) -> ServingStatus {
    match service {
        LIVENESS => ServingStatus::Serving,
        "" | SERVICE_NAME if phase == Phase::Ready => ServingStatus::Serving,
        "" | SERVICE_NAME => ServingStatus::NotServing,
        _ => ServingStatus::ServiceUnknown,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl HealthService for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        let status = status(service, self.lifecycle.phase());
        if status == ServingStatus::ServiceUnknown {
            let message = format!("no service {service:?} is known here");
            return Err(Failure::new(Reason::UnknownService, message).into());
        }
        Ok(Response::new(answer(status)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let phases = self.lifecycle.subscribe();
        let statuses = stream::unfold((phases, None), move |(mut phases, mut last)| {
            let service = service.clone();
            async move {
                loop {
                    let phase = *phases.borrow_and_update();
                    let status = status(&service, phase);
                    if last.replace(status) != Some(status) {
                        return Some((Ok(answer(status)), (phases, last)));
                    }
                    // Once draining has been told there is nothing more to tell, and an open
                    // stream would hold up the shutdown.
                    if phase >= Phase::Draining {
                        return None;
                    }
                    phases.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(statuses.boxed()))
    }
}
