//! Whom to take for the server, and who to be for it, over TLS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::failure::Failure;

/// Certificates of a client.
#[derive(Args, Clone, Debug, Default)]
pub struct Trust {
    /// Certificates of who vouches for a server at https://, in PEM
    #[arg(long, value_name = "FILE", env = "READSTATES_TARGET_CA_FILE")]
    pub target_ca_file: Option<PathBuf>,
    /// The certificate to show to a server that asks for one, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "READSTATES_TARGET_CERT_FILE",
        requires = "target_key_file"
    )]
    pub target_cert_file: Option<PathBuf>,
    /// The key of target-cert-file, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "READSTATES_TARGET_KEY_FILE",
        requires = "target_cert_file"
    )]
    pub target_key_file: Option<PathBuf>,
}

impl Trust {
    /// What a connection over TLS is made with.
    pub fn config(&self) -> Result<ClientTlsConfig, Failure> {
        let Some(ca) = &self.target_ca_file else {
            let problem = "https:// needs --target-ca-file, or nobody vouches for the server";
            return Err(Failure::Usage(problem.to_owned()));
        };
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        Ok(match (&self.target_cert_file, &self.target_key_file) {
            (Some(cert), Some(key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
            _ => config,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
