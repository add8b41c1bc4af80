//! The certificates of a server: opened before its ports are, kept in step with their files from
//! then on, also while it stands by.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tracing::warn;

use super::StartError;
use crate::{config::Config, edge::Tls, metrics::Metrics};

/// Nobody serves meanwhile.
const REFRESH_MAX: Duration = Duration::from_secs(2);

/// Certificates, and the task that looks at their files, which ends with this.
pub(super) struct Certificates {
    tls: Arc<Tls>,
    keeping: JoinHandle<()>,
}

impl Certificates {
    /// Opens those that the configuration names; `None` where it names none.
    pub fn open(config: &Config, metrics: &Metrics) -> Result<Option<Self>, StartError> {
        let Some(tls) = Tls::open(config, metrics.tls.clone())? else { return Ok(None) };
        let tls = Arc::new(tls);
        let keeping = tokio::spawn(Arc::clone(&tls).keep());
        Ok(Some(Self { tls, keeping }))
    }

    /// What connections are encrypted with.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Looks at the files now. What cannot be used, or is not there soon, changes nothing: a start
    /// is not to fail for what may be mended.
    pub async fn refresh(&self) {
        if timeout(REFRESH_MAX, self.tls.refresh()).await.is_err() {
            warn!("the certificates take long to read; those before stay");
        }
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::{Ipv4Addr, SocketAddr},
        path::Path,
    };

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::{
        super::{Front, Server, start::Opened},
        *,
    };
    use crate::{clock::Clock, config::Durability, lifecycle::Lifecycle, store::MemoryStore};

    /// A pair that holds until the end of this year, in place of the one before it.
    fn issue(folder: &Path, year: i32) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("it vouches for itself");
        fs::write(folder.join("key"), key.serialize_pem()).expect("there is room");
        fs::write(folder.join("cert"), cert.pem()).expect("there is room");
    }

    #[tokio::test]
    async fn what_has_stood_by_serves_with_what_its_files_are_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            listen: local.into(),
            admin_listen: local,
            durability: Durability::Memory,
            tls_cert_file: Some(folder.path().join("cert")),
            tls_key_file: Some(folder.path().join("key")),
            // It does not look by itself again.
            tls_reload_every: Duration::from_secs(86_400),
            ..Config::default()
        };
        let until = |year| date_time_ymd(year, 12, 31).unix_timestamp();
        for (first, then) in [(2100, 2200), (2000, 2200), (2000, 2001), (2100, 2001)] {
            issue(folder.path(), first);
            let (clock, life) = (Clock::system(), Lifecycle::new());
            let front = Front::start(&config, &clock, life).await.expect("it can be used");
            let not_after = front.metrics.tls.not_after_seconds.clone();
            let certificates = front.certificates.as_ref().expect("they are named");
            // The look that it begins with is over.
            certificates.refresh().await;
            assert_eq!(not_after.get(), until(first));
            issue(folder.path(), then);
            let opened = Opened::alone(Arc::new(MemoryStore::default()));
            let server =
                Server::assemble(config.clone(), clock, front, opened, None, Vec::new()).await;
            // One that has run out takes no place.
            let kept = if then == 2001 { first } else { then };
            assert_eq!(not_after.get(), until(kept), "{first}, then {then}");
            drop(server.expect("it starts all the same"));
        }
    }
}
