//! `health`: asks a server whether it is serving. Containers run it as their health check.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    Exit,
    failure::Failure,
    output::{say, say_json},
    target::Target,
};

/// Flags of `health`.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// The service to ask for; without it, the server as a whole
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// Longest time to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "2s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Asks; only SERVING is [`Exit::Done`].
pub async fn health(args: HealthArgs) -> Result<Exit, Failure> {
    let mut client = HealthClient::new(args.target.connect(args.deadline).await?);
    let request = HealthCheckRequest { service: args.service.clone() };
    let status = client.check(request).await?.into_inner().status();
    if args.json {
        say_json(&json!({ "service": args.service, "status": status.as_str_name() }))?;
    } else {
        say(status.as_str_name())?;
    }
    Ok(if status == ServingStatus::Serving { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{service::Routes, transport::Server};
    use tonic_health::ServingStatus as Reported;

    use super::*;

    async fn ask(service: &str, reported: Reported) -> Result<Exit, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (reporter, server) = tonic_health::server::health_reporter();
        reporter.set_service_status("", reported).await;
        let routes = Routes::new(server);
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
        health(HealthArgs {
            service: service.to_owned(),
            deadline: Duration::from_secs(30),
            json: false,
            target: Target { url, ..Target::default() },
        })
        .await
    }

    #[tokio::test]
    async fn only_serving_is_healthy() {
        assert_eq!(ask("", Reported::Serving).await.unwrap(), Exit::Done);
        assert_eq!(ask("", Reported::NotServing).await.unwrap(), Exit::Failed);
    }

    #[tokio::test]
    async fn an_unknown_service_is_a_failure() {
        assert_eq!(ask("other", Reported::Serving).await.unwrap_err().exit(), Exit::Failed);
    }
}
