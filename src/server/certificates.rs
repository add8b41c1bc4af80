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

    /// Them, as their files are now where those can be used and are there soon.
    pub async fn now(&self) -> Arc<Tls> {
        if timeout(REFRESH_MAX, self.tls.refresh()).await.is_err() {
            warn!("the certificates take long to read; those before stay");
        }
        Arc::clone(&self.tls)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

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
        let config = Config {
            tls_cert_file: Some(folder.path().join("cert")),
            tls_key_file: Some(folder.path().join("key")),
            // It does not look by itself again.
            tls_reload_every: Duration::from_secs(86_400),
            ..Config::default()
        };
        for (first, then) in [(2100, 2200), (2000, 2200), (2000, 2001), (2100, 2001)] {
            issue(folder.path(), first);
            let metrics = Metrics::new().expect("names are valid");
            let opened = Certificates::open(&config, &metrics).expect("they can be used");
            let certificates = opened.expect("they are named");
            let until = |year| date_time_ymd(year, 12, 31).unix_timestamp();
            assert_eq!(metrics.tls.not_after_seconds.get(), until(first));
            issue(folder.path(), then);
            certificates.now().await;
            // One that has run out takes no place: a start is not to fail for what may be mended.
            let kept = if then == 2001 { first } else { then };
            assert_eq!(metrics.tls.not_after_seconds.get(), until(kept), "{first}, then {then}");
        }
    }
}
