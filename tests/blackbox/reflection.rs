//! Server reflection in both of its versions, as grpcurl and graphical clients use it.

use tonic_reflection::pb::{v1, v1alpha};

use crate::server::Server;

const SERVICES: [&str; 3] = [
    "readstates.v1.ReadStatesService",
    "readstates.v1.MaintenanceService",
    "grpc.health.v1.Health",
];

/// Types that appear only inside the details of errors.
const DETAILS: [&str; 3] =
    ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"];

macro_rules! reflects {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let server = Server::start();
            let mut client = ServerReflectionClient::new(server.channel().await);
            let mut asked = vec![MessageRequest::ListServices(String::new())];
            let symbol = |name: &&str| MessageRequest::FileContainingSymbol((*name).to_owned());
            asked.extend(SERVICES.iter().chain(&DETAILS).map(symbol));
            let requests = asked.into_iter().map(|request| ServerReflectionRequest {
                host: String::new(),
                message_request: Some(request),
            });
            let answers = client.server_reflection_info(tokio_stream::iter(requests)).await;
            let mut answers = answers.expect("reflection is served").into_inner();
            let first = answers.message().await.expect("no error").expect("an answer");
            let Some(MessageResponse::ListServicesResponse(list)) = first.message_response else {
                panic!("no list of services: {first:?}");
            };
            for service in SERVICES {
                assert!(list.service.iter().any(|listed| listed.name == service), "{service}");
            }
            for name in SERVICES.iter().chain(&DETAILS) {
                let answer = answers.message().await.expect("no error").expect("an answer");
                let Some(MessageResponse::FileDescriptorResponse(file)) = answer.message_response
                else {
                    panic!("{name} is not described: {answer:?}");
                };
                assert!(!file.file_descriptor_proto.is_empty(), "{name}");
            }
        }
    };
}

reflects!(version_1_lists_and_describes, v1);
reflects!(version_1alpha_lists_and_describes, v1alpha);
