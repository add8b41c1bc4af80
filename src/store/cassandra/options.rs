//! What a Cassandra store can be told when it connects.

use std::{path::PathBuf, time::Duration};

use super::session;
use crate::config::{Config, ReplicaQuorum, Secret};

/// Bytes that a request has on its way, twice for the driver's copy of it: a batch, or a page of
/// rows without many mentions.
const REQUEST_BYTES: u64 = 2 * super::writer::BATCH_BYTES_MAX as u64;
const PAGE_BYTES: u64 = 2 * 192 * super::statements::PAGE_ROWS as u64;

/// Files of a TLS client, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of those who may vouch for a node.
    pub ca: PathBuf,
    /// The own certificate with its chain, and its key, where nodes ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Where the cluster is and how it is asked.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// `HOST:PORT` of some nodes; the others are learned from them.
    pub contact_points: Vec<String>,
    /// The keyspace, as it is spelled in CQL.
    pub keyspace: String,
    /// The datacenter whose nodes are asked first; empty where there is one only.
    pub datacenter: String,
    /// Name and password, where nodes ask for them.
    pub credentials: Option<(String, Secret)>,
    /// TLS, where nodes want it.
    pub tls: Option<TlsFiles>,
    /// How many replicas have to answer.
    pub quorum: ReplicaQuorum,
    /// How long a request may take, retries included.
    pub request_within: Duration,
    /// How long a connection may take to open.
    pub connect_within: Duration,
    /// Requests under way at most; more wait.
    pub requests_max: usize,
    /// A read that has not been answered after this long is sent to a second node as well.
    pub speculate_after: Option<Duration>,
}

impl CassandraOptions {
    /// As the settings say.
    pub fn of(config: &Config) -> Self {
        let identity = config.cassandra_cert_file.clone().zip(config.cassandra_key_file.clone());
        let tls = config.cassandra_ca_file.clone().map(|ca| TlsFiles { ca, identity });
        let password = config.cassandra_password_file.clone();
        Self {
            contact_points: config.cassandra_contact_points.clone(),
            keyspace: config.cassandra_keyspace.clone(),
            datacenter: config.cassandra_datacenter.clone().unwrap_or_default(),
            credentials: config.cassandra_user.clone().zip(password),
            tls,
            quorum: config.cassandra_consistency,
            request_within: config.cassandra_request_timeout,
            connect_within: config.cassandra_connect_timeout,
            requests_max: config.cassandra_max_requests,
            speculate_after: config.cassandra_speculate_after,
        }
    }

    /// The defaults, for a keyspace of a node.
    pub fn new(contact_point: impl Into<String>, keyspace: impl Into<String>) -> Self {
        Self {
            contact_points: vec![contact_point.into()],
            keyspace: keyspace.into(),
            ..Self::of(&Config::default())
        }
    }

    /// What is wrong with the files of TLS, each with the key of the setting that names it. It
    /// opens no connection.
    pub fn check_files(&self) -> Vec<(&'static str, String)> {
        let Some(files) = &self.tls else { return Vec::new() };
        let mut wrong = Vec::new();
        let mut note = |key, error: Option<String>| wrong.extend(error.map(|it| (key, it)));
        note("cassandra-ca-file", session::roots(&files.ca).err());
        if let Some((certificate, key)) = &files.identity {
            note("cassandra-cert-file", session::certificates(certificate).err());
            note("cassandra-key-file", session::private_key(key).err());
        }
        if wrong.is_empty() {
            // Each is right by itself: certificate and key may still be of two pairs.
            let pair = session::tls(files).err();
            wrong.extend(pair.map(|error| ("cassandra-cert-file", error)));
        }
        wrong
    }

    /// Memory that requests on their way and a walk through all users take at most, to be charged
    /// to the whole.
    pub fn memory_bytes(&self) -> u64 {
        self.requests_max as u64 * REQUEST_BYTES.max(PAGE_BYTES) + super::roll::ROLL_BYTES_MAX
    }
}
