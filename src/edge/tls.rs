//! The certificates of the gRPC port, read anew while it is served.
//!
//! What is new is checked first: a key that is another certificate's, or a certificate that has
//! run out, changes nothing. Connections that are open keep what they began with.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{
    sync::Mutex as AsyncMutex,
    task::spawn_blocking,
    time::{interval, sleep},
};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::{config::Config, metrics::TlsMetrics};

/// The only protocol that is spoken within.
const HTTP_2: &[u8] = b"h2";

/// What is in a file twice, this far apart, is most likely all of it.
const SETTLE: Duration = Duration::from_millis(20);
/// Reads in one look until two are the same.
const SETTLE_READS_MAX: u32 = 10;

/// Why certificates cannot be used. Each says which file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in a file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Those who may vouch for callers cannot be used.
    #[error("{path}: {source}")]
    Roots {
        /// Which file.
        path: PathBuf,
        /// What is wrong with them.
        source: VerifierBuilderError,
    },
}

impl TlsError {
    /// Which file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. } | Self::Content { path, .. } | Self::Roots { path, .. } => path,
        }
    }
}

/// Which files, and what they are for.
#[derive(Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_cert_optional: bool,
}

/// What was in the files.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What connections are encrypted with now.
pub struct Tls {
    files: Files,
    every: Duration,
    /// Held for a copy of a pointer.
    acceptor: Mutex<TlsAcceptor>,
    /// Of whoever looks at the files.
    turn: AsyncMutex<()>,
    /// Only who looks at the files locks it.
    seen: Mutex<Seen>,
    metrics: TlsMetrics,
}

/// What the last look has seen, good or bad.
struct Seen {
    contents: Contents,
    /// What was complained about last.
    problem: Option<String>,
}

impl Tls {
    /// Reads the files that the configuration names; `None` where it names none.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn open(config: &Config, metrics: TlsMetrics) -> Result<Option<Self>, TlsError> {
        let Some(files) = Files::of(config) else { return Ok(None) };
        let contents = files.read()?;
        let made = files.make(&contents)?;
        if let Some(why) = made.holds_not {
            warn!(path = %files.cert.display(), why, "callers will refuse the certificate");
        }
        metrics.not_after_seconds.set(made.not_after_seconds);
        Ok(Some(Self {
            files,
            every: config.tls_reload_every,
            acceptor: Mutex::new(made.acceptor),
            turn: AsyncMutex::new(()),
            seen: Mutex::new(Seen { contents, problem: None }),
            metrics,
        }))
    }

    /// Whether the files that the configuration names could be used now.
    ///
    /// # Errors
    /// Where they cannot.
    pub fn check(config: &Config) -> Result<(), TlsError> {
        let Some(files) = Files::of(config) else { return Ok(()) };
        files.read().and_then(|contents| files.make(&contents)).map(drop)
    }

    /// For a connection that comes now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.lock().clone()
    }

    /// Looks at the files, for ever.
    pub async fn keep(self: Arc<Self>) {
        let mut ticks = interval(self.every);
        loop {
            ticks.tick().await;
            self.refresh().await;
        }
    }

    /// Looks at the files now. What cannot be used is told, and changes nothing.
    pub async fn refresh(&self) {
        // What is read first is also looked at first.
        let _turn = self.turn.lock().await;
        if let Some(read) = self.settled().await {
            self.look(read);
        }
    }

    /// What is in the files, if that is to be had. What is new is read until it stays: half of a
    /// file may be valid.
    async fn settled(&self) -> Option<Result<Contents, TlsError>> {
        let mut read = self.read().await?;
        if !self.is_new(&read) {
            return Some(read);
        }
        for _ in 1..SETTLE_READS_MAX {
            sleep(SETTLE).await;
            let before = mem::replace(&mut read, self.read().await?);
            if is_same(&before, &read) {
                return Some(read);
            }
        }
        None
    }

    async fn read(&self) -> Option<Result<Contents, TlsError>> {
        let files = self.files.clone();
        spawn_blocking(move || files.read()).await.ok()
    }

    fn is_new(&self, read: &Result<Contents, TlsError>) -> bool {
        read.as_ref().is_ok_and(|contents| self.seen.lock().contents != *contents)
    }

    /// Takes what was read if it is new and can be used. Each is judged, and told of, once.
    fn look(&self, read: Result<Contents, TlsError>) {
        let mut seen = self.seen.lock();
        let made = match read {
            // What could not be used is judged anew: it may come to hold, or was away for a moment.
            Ok(contents) if seen.problem.is_none() && seen.contents == contents => return,
            Ok(contents) => {
                let made = self.files.make_current(&contents);
                seen.contents = contents;
                made
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(made) => {
                *self.acceptor.lock() = made.acceptor;
                self.metrics.not_after_seconds.set(made.not_after_seconds);
                self.metrics.reloads.inc();
                seen.problem = None;
                info!("the certificates of the gRPC port were read anew");
            }
            Err(error) => {
                let problem = Some(error.to_string());
                if seen.problem != problem {
                    self.metrics.reload_failures.inc();
                    error!(%error, "new certificates cannot be used; those before stay");
                    seen.problem = problem;
                }
            }
        }
    }
}

fn is_same(read: &Result<Contents, TlsError>, again: &Result<Contents, TlsError>) -> bool {
    matches!((read, again), (Ok(read), Ok(again)) if read == again)
}

struct Made {
    acceptor: TlsAcceptor,
    not_after_seconds: i64,
    /// Why it does not hold now, if that is so.
    holds_not: Option<&'static str>,
}

impl Files {
    /// None where nothing is to be encrypted.
    fn of(config: &Config) -> Option<Self> {
        Some(Self {
            cert: config.tls_cert_file.clone()?,
            key: config.tls_key_file.clone()?,
            client_ca: config.tls_client_ca_file.clone(),
            client_cert_optional: config.tls_client_cert_optional,
        })
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        Ok(Contents {
            cert: read(&self.cert)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_ref().map(read).transpose()?,
        })
    }

    /// As [`Self::make`], and refuses what does not hold now.
    fn make_current(&self, contents: &Contents) -> Result<Made, TlsError> {
        let made = self.make(contents)?;
        match made.holds_not {
            Some(why) => Err(wrong(&self.cert, why)),
            None => Ok(made),
        }
    }

    fn make(&self, contents: &Contents) -> Result<Made, TlsError> {
        let chain = certificates(&self.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| wrong(&self.key, format!("there is no key in it: {error}")))?;
        let (_, first) = X509Certificate::from_der(&chain[0])
            .map_err(|error| wrong(&self.cert, format!("is no certificate: {error}")))?;
        let not_after_seconds = first.validity().not_after.timestamp();
        let (validity, now) = (first.validity(), ASN1Time::now());
        let holds_not = if now > validity.not_after {
            Some("it has run out")
        } else if now < validity.not_before {
            Some("it does not hold yet")
        } else {
            None
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&self.cert, error.to_string()))?;
        let builder = match (&self.client_ca, &contents.client_ca) {
            (Some(path), Some(roots)) => {
                builder.with_client_cert_verifier(self.verifier(path, roots)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| wrong(&self.cert, format!("it does not go with its key: {error}")))?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(Made { acceptor: TlsAcceptor::from(Arc::new(config)), not_after_seconds, holds_not })
    }

    fn verifier(&self, path: &Path, pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(path, pem)? {
            roots.add(root).map_err(|error| wrong(path, error.to_string()))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match self.client_cert_optional {
            true => builder.allow_unauthenticated(),
            false => builder,
        };
        builder.build().map_err(|source| TlsError::Roots { path: path.to_owned(), source })
    }
}

/// One at least.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong(path, "there is no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(wrong(path, format!("is not PEM: {error}"))),
    }
}

fn wrong(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::Content { path: path.to_owned(), problem: problem.into() }
}
