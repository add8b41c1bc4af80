//! Which server to talk to, and how the connection to it is made.

use std::time::Duration;

use clap::Args;
use http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::failure::Failure;
use crate::proto::read_states_service_client::ReadStatesServiceClient;

/// The generated client over a plain connection.
pub type Client = ReadStatesServiceClient<Channel>;

/// Longest time to wait for a TCP connection, should the deadline of the call be longer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life after this long ...
const PING_AFTER: Duration = Duration::from_secs(10);
/// ... and given up when none came within this.
const PING_DEADLINE: Duration = Duration::from_secs(5);

/// The server's address.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The server, as http://HOST:PORT
    #[arg(
        long = "target",
        value_name = "URL",
        env = "READSTATES_TARGET",
        default_value = "http://127.0.0.1:50051"
    )]
    pub url: String,
}

impl Target {
    /// Connects. A call, and connecting itself, may take `deadline` at most.
    pub async fn connect(&self, deadline: Duration) -> Result<Channel, Failure> {
        let endpoint = self.endpoint(deadline)?;
        match tokio::time::timeout(deadline, endpoint.connect()).await {
            Ok(connected) => connected.map_err(|error| self.unreachable(error.into())),
            Err(_) => Err(self.unreachable("no connection within the deadline".into())),
        }
    }

    /// A channel that connects when it is first used, and again after the connection broke.
    pub fn connect_lazily(&self, call_deadline: Duration) -> Result<Channel, Failure> {
        Ok(self.endpoint(call_deadline)?.connect_lazy())
    }

    /// The address itself, for connections that are not tonic's.
    pub fn uri(&self) -> Result<Uri, Failure> {
        Ok(self.endpoint(CONNECT_DEADLINE)?.uri().clone())
    }

    fn endpoint(&self, call_deadline: Duration) -> Result<Endpoint, Failure> {
        let url = match self.url.split_once("://") {
            Some(("http", _)) => self.url.clone(),
            Some((scheme, _)) => {
                return Err(Failure::Usage(format!(
                    "--target {}: this program speaks http, not {scheme}",
                    self.url
                )));
            }
            None => format!("http://{}", self.url),
        };
        let endpoint = Endpoint::from_shared(url)
            .map_err(|error| Failure::Usage(format!("--target {}: {error}", self.url)))?;
        Ok(endpoint
            .timeout(call_deadline)
            .connect_timeout(CONNECT_DEADLINE.min(call_deadline))
            .http2_keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_DEADLINE))
    }

    fn unreachable(&self, error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
        let mut cause: &(dyn std::error::Error + 'static) = &*error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let message = format!("cannot connect to {}: {cause}", self.url);
        tonic::Status::unavailable(message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::failure::Exit, *};

    fn exit_of(url: &str) -> Option<Exit> {
        let target = Target { url: url.to_owned() };
        target.endpoint(CONNECT_DEADLINE).err().map(|failure| failure.exit())
    }

    #[test]
    fn addresses_with_and_without_a_scheme_are_taken() {
        assert_eq!(exit_of("http://127.0.0.1:50051"), None);
        assert_eq!(exit_of("localhost:50051"), None);
    }

    #[test]
    fn other_schemes_and_nonsense_are_bad_usage() {
        assert_eq!(exit_of("https://127.0.0.1:50051"), Some(Exit::Usage));
        assert_eq!(exit_of("ftp://x"), Some(Exit::Usage));
        assert_eq!(exit_of("http://a b"), Some(Exit::Usage));
        assert_eq!(exit_of(""), Some(Exit::Usage));
    }

    #[tokio::test]
    async fn nobody_listening_is_unavailable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = Target { url: url.clone() }.connect(CONNECT_DEADLINE).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert!(failure.to_string().contains(&url), "{failure}");
    }
}
