//! Certificates for tests: an authority, and what it vouches for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use tonic::transport::{Certificate, Identity};

/// Vouches for servers and callers.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Whoever has the name of its issuer is taken for self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("it vouches for itself"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// What clients are to trust.
    pub fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.pem())
    }

    /// For a server on this machine.
    pub fn server(&self) -> Issued {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.issue(CertificateParams::new(names).expect("names"))
    }

    /// For a server, and over since the year 2000.
    pub fn outdated_server(&self) -> Issued {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(2000, 1, 1);
        self.issue(params)
    }

    /// For a caller of this name: a SPIFFE id.
    pub fn caller(&self, id: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().expect("ASCII"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("it is vouched for");
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.cert, &self.key)
    }

    /// Puts both into files of this folder, in place of what was there.
    pub fn write(&self, folder: &Path) -> [PathBuf; 2] {
        let write = |name: &str, pem: &str| {
            let path = folder.join(name);
            // At once, as those who renew certificates do.
            let new = folder.join(format!("{name}.new"));
            fs::write(&new, pem).expect("there is room");
            fs::rename(&new, &path).expect("it is one folder");
            path
        };
        [write("tls.crt", &self.cert), write("tls.key", &self.key)]
    }
}
