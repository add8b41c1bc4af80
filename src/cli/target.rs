//! Which server to talk to, and how the connection to it is made.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::{
    bearer::{Bearer, Signed},
    failure::Failure,
    trust::Trust,
};
use crate::proto::read_states_service_client::ReadStatesServiceClient;

/// A connection that shows the caller's token, where it has one.
pub type Line = Signed<Channel>;
/// The generated client over such a connection.
pub type Client = ReadStatesServiceClient<Line>;

/// Schemes of addresses.
const PLAIN: &str = "http";
const ENCRYPTED: &str = "https";
/// Longest time to wait for a TCP connection, should the deadline of the call be longer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A silent connection is asked for a sign of life after this long ...
const PING_AFTER: Duration = Duration::from_secs(10);
/// ... and given up when none came within this.
const PING_DEADLINE: Duration = Duration::from_secs(5);

/// The server's address, and what to show there.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// The server, as http://HOST:PORT or https://HOST:PORT
    #[arg(
        long = "target",
        value_name = "URL",
        env = "READSTATES_TARGET",
        default_value = "http://127.0.0.1:50051"
    )]
    pub url: String,
    /// A file with the token to show to a server that asks who calls. Without it the variable
    /// READSTATES_TOKEN may have the token itself
    #[arg(long, value_name = "FILE", env = "READSTATES_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates.
    #[command(flatten)]
    pub trust: Trust,
}

/// Where to connect to without tonic, and what to show there.
#[derive(Clone, Debug)]
pub struct Address {
    /// The server.
    pub uri: Uri,
    /// What each call shows.
    pub bearer: Bearer,
}

impl Target {
    /// Connects. A call, and connecting itself, may take `deadline` at most.
    pub async fn connect(&self, deadline: Duration) -> Result<Line, Failure> {
        let (endpoint, bearer) = (self.endpoint(deadline)?, self.bearer()?);
        match tokio::time::timeout(deadline, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(Signed::new(channel, bearer)),
            Ok(Err(error)) => Err(self.unreachable(error.into())),
            Err(_) => Err(self.unreachable("no connection within the deadline".into())),
        }
    }

    /// A channel that connects when it is first used, and again after the connection broke.
    pub fn connect_lazily(&self, call_deadline: Duration) -> Result<Line, Failure> {
        Ok(Signed::new(self.endpoint(call_deadline)?.connect_lazy(), self.bearer()?))
    }

    /// The address itself, for connections that are not tonic's.
    pub fn address(&self) -> Result<Address, Failure> {
        let uri = self.endpoint(CONNECT_DEADLINE)?.uri().clone();
        if uri.scheme_str() != Some(PLAIN) {
            let problem = format!("--target {}: this command speaks http only", self.url);
            return Err(Failure::Usage(problem));
        }
        Ok(Address { uri, bearer: self.bearer()? })
    }

    fn bearer(&self) -> Result<Bearer, Failure> {
        Bearer::find(self.token_file.as_deref())
    }

    fn endpoint(&self, call_deadline: Duration) -> Result<Endpoint, Failure> {
        let usage = |problem: String| Failure::Usage(format!("--target {}: {problem}", self.url));
        let url = match self.url.split_once("://") {
            Some((PLAIN | ENCRYPTED, _)) => self.url.clone(),
            Some((scheme, _)) => {
                return Err(usage(format!("this program speaks http and https, not {scheme}")));
            }
            None => format!("{PLAIN}://{}", self.url),
        };
        let endpoint = Endpoint::from_shared(url).map_err(|error| usage(error.to_string()))?;
        let endpoint = match endpoint.uri().scheme_str() {
            Some(ENCRYPTED) => endpoint
                .tls_config(self.trust.config()?)
                .map_err(|error| usage(format!("a certificate cannot be used: {error}")))?,
            _ => endpoint,
        };
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
        let target = Target { url: url.to_owned(), ..Target::default() };
        target.endpoint(CONNECT_DEADLINE).err().map(|failure| failure.exit())
    }

    #[test]
    fn addresses_with_and_without_a_scheme_are_taken() {
        assert_eq!(exit_of("http://127.0.0.1:50051"), None);
        assert_eq!(exit_of("localhost:50051"), None);
    }

    #[test]
    fn other_schemes_and_nonsense_are_bad_usage() {
        // Nobody vouches for it.
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
        let target = Target { url: url.clone(), ..Target::default() };
        let failure = target.connect(CONNECT_DEADLINE).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert!(failure.to_string().contains(&url), "{failure}");
    }
}
