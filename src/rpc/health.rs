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
use crate::lifecycle::{Lifecycle, Phase, State};

/// The service under which health and reflection know this server.
pub const SERVICE_NAME: &str = "readstates.v1.ReadStatesService";
const LIVENESS: &str = "liveness";
/// Characters of an unknown name that its answer shows: whoever asks may make it long.
const NAME_SHOWN: usize = 100;

/// Health by the server's state: `""` and the service serve while it is ready and not suspended,
/// `liveness` while the process works.
pub struct Health {
    lifecycle: Lifecycle,
}

impl Health {
    /// Health of the server whose life this is.
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self { lifecycle }
    }
}

fn status(service: &str, state: State) -> ServingStatus {
    match service {
        LIVENESS => ServingStatus::Serving,
        "" | SERVICE_NAME if state.serves() => ServingStatus::Serving,
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
        let status = status(service, self.lifecycle.state());
        if status == ServingStatus::ServiceUnknown {
            let name: String = service.chars().take(NAME_SHOWN).collect();
            let message = format!("no service {name:?} is known here");
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
        let states = self.lifecycle.subscribe();
        let statuses = stream::unfold((states, None), move |(mut states, mut last)| {
            let service = service.clone();
            async move {
                loop {
                    let state = *states.borrow_and_update();
                    let status = status(&service, state);
                    if last.replace(status) != Some(status) {
                        return Some((Ok(answer(status)), (states, last)));
                    }
                    // Once draining has been told there is nothing more to tell, and an open
                    // stream would hold up the shutdown.
                    if state.phase >= Phase::Draining {
                        return None;
                    }
                    states.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(statuses.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    #[tokio::test]
    async fn a_suspended_server_is_alive_and_does_not_serve() {
        let lifecycle = Lifecycle::new();
        let health = Health::new(lifecycle.clone());
        lifecycle.advance(Phase::Ready);
        let mut watch = health.watch(request("")).await.expect("a known name").into_inner();
        for suspended in [false, true, false] {
            lifecycle.suspend(suspended);
            let expected =
                if suspended { ServingStatus::NotServing } else { ServingStatus::Serving };
            let told = watch.next().await.expect("it stays open").expect("no error");
            assert_eq!(told.status(), expected);
            for (name, expected) in [("", expected), (LIVENESS, ServingStatus::Serving)] {
                let answer = health.check(request(name)).await.expect("a known name");
                assert_eq!(answer.into_inner().status(), expected, "{name:?}");
            }
        }
    }
}
