//! Whom a certificate names, and until when.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::ServerConnection;
use tracing::debug;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::doors::PeerIdentity;

/// Who is at the other end of a connection, by a certificate that was checked.
pub(super) struct Known {
    pub identity: Arc<PeerIdentity>,
    /// How long the certificate holds from now on.
    pub holds_for: Duration,
}

/// Whom the peer's certificate names, where it gave one.
pub(super) fn of(connection: &ServerConnection) -> Option<Known> {
    let certificate = connection.peer_certificates()?.first()?;
    let known = read(certificate, SystemTime::now());
    if known.is_none() {
        debug!("a certificate that was accepted cannot be read");
    }
    known
}

fn read(certificate: &[u8], now: SystemTime) -> Option<Known> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let hosts = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    let identity = Arc::new(PeerIdentity::new(uris, hosts));
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    let over = UNIX_EPOCH + Duration::from_secs(not_after);
    Some(Known { identity, holds_for: over.duration_since(now).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    #[test]
    fn names_and_end_of_a_certificate_are_read() {
        let mut params = CertificateParams::default();
        let san = |uri: &str| SanType::URI(uri.try_into().expect("ASCII"));
        let host = SanType::DnsName("Gateway.internal".try_into().expect("ASCII"));
        params.subject_alt_names = vec![host, san("spiffe://chat/gateway"), san("https://chat/")];
        params.not_after = date_time_ymd(2100, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let end = UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        let minute = Duration::from_secs(60);
        let known = read(certificate.der(), end - minute).expect("it can be read");
        let names: Vec<_> = known.identity.names().map(ToString::to_string).collect();
        assert_eq!(names, ["spiffe://chat/gateway", "dns:gateway.internal"]);
        assert_eq!(known.holds_for, minute);
        let over = read(certificate.der(), end + minute).expect("it can be read");
        assert_eq!(over.holds_for, Duration::ZERO);
        assert!(read(b"no certificate", end).is_none());
    }
}
