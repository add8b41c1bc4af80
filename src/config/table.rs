//! The table of all settings: one entry each, from which field, key, flag, variable, help, default
//! and parser follow. To add a setting, add an entry here and nothing anywhere else.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    Secret, Setting,
    choice::{Durability, LogFormat, ReplicaQuorum, RuntimeForm, StoreKind},
    listen::Listen,
    reader::Reader,
    value::{
        address, auto_or, choice, count, directory, duration, file, filter, hosts, identifier,
        none_or, parsed, secret, size, switch, text, zero_or,
    },
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Makes `Config` and its table from entries of the form
/// `field: Type = "key" VALUE_NAME "default", parser;`.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $key:literal $value_name:ident $default:literal, $parse:expr;
    )+) => {
        /// The validated configuration of a server.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        /// All settings, in the order in which people want to read of them.
        pub(super) static SETTINGS: &[Setting] = &[
            $(Setting::new($key, $default, stringify!($value_name), concat!($($doc),+)),)+
        ];

        impl Config {
            /// Takes every setting from `reader`, in the order of the table.
            pub(super) fn read(reader: &mut Reader<'_>) -> Self {
                Self { $($field: reader.next($parse),)+ }
            }
        }
    };
}

settings! {
    /// Where gRPC is answered: an address, a path behind unix:, or several with commas between.
    /// Port 0 picks a free one.
    listen: Listen = "listen" ADDRESSES "127.0.0.1:50051", parsed;

    /// Where the admin port listens (metrics and probes). Port 0 picks a free one.
    admin_listen: SocketAddr = "admin-listen" ADDRESS "127.0.0.1:9090", address;

    /// Who may call what: a TOML file of callers with their roles and credentials. Without it
    /// everyone who reaches the gRPC port may call everything.
    callers_file: Option<PathBuf> = "callers-file" FILE "none", none_or(file);

    /// How often callers-file is looked at again. So long at most goes on what its callers may not
    /// do any more, a stream under way included.
    callers_check_every: Duration =
        "callers-check-every" DURATION "5s", duration(10 * MS..=HOUR);

    /// Answer server reflection, with which clients such as grpcurl learn what can be called.
    reflection: bool = "reflection" SWITCH "true", switch;

    /// Answer /metrics on the admin port; the probes are answered in any case.
    metrics: bool = "metrics" SWITCH "true", switch;

    /// Where states rest: embedded (files under data-dir), memory (gone with the server) or
    /// cassandra (a cluster of Apache Cassandra or ScyllaDB).
    store: StoreKind =
        "store" STORE "embedded", choice(StoreKind::NAMES, StoreKind::LATER);

    /// The directory of the embedded store and of the journal; made if it is not there.
    data_dir: PathBuf = "data-dir" DIRECTORY "./data", directory;

    /// What an acknowledgement means: journal (synced to the local disk; survives kill -9 and power
    /// loss), memory (a crash loses up to flush-after) or store (committed in the store). With
    /// store = memory it is memory.
    durability: Durability =
        "durability" DURABILITY "journal", choice(Durability::NAMES, Durability::LATER);

    /// Disk that the journal takes before it lets go of what it no longer needs. It takes more
    /// only for what the store does not have.
    journal_size: u64 = "journal-size" SIZE "1GiB", size(64 * KIB..=16 * TIB);

    /// The size of one file of the journal, which is written as a whole ahead of its use.
    journal_segment_size: u64 =
        "journal-segment-size" SIZE "64MiB", size(64 * KIB..=GIB);

    /// Memory for changes on their way into the journal; beyond it calls wait. What is being
    /// written takes as much again, and no more of either than a journal-segment-size has room for.
    journal_buffer: u64 = "journal-buffer" SIZE "16MiB", size(MIB..=16 * MIB);

    /// Disk that the journal leaves free: with less, changes are refused until there is space.
    disk_reserve: u64 = "disk-reserve" SIZE "128MiB", size(0..=16 * TIB);

    /// Read states kept in memory, as a number; auto takes it from cache-memory.
    cache_entries: Option<u64> =
        "cache-entries" NUMBER "auto", auto_or(count(1..=1_000_000_000_000));

    /// Memory for read states, from which their number follows.
    cache_memory: u64 = "cache-memory" SIZE "512MiB", size(MIB..=16 * TIB);

    /// Shards of the cache; auto, or 0, fits them to the capacity. At most 64 locks guard them.
    shards: Option<usize> = "shards" NUMBER "auto", zero_or(count(1..=65_536));

    /// A change is written to the store this long after the first one that is not yet written.
    flush_after: Duration = "flush-after" DURATION "30s", duration(MS..=DAY);

    /// States in memory that may wait to be written; at the limit changes to others are refused.
    /// auto is half of the cache's capacity.
    dirty_limit: Option<u64> = "dirty-limit" NUMBER "auto", auto_or(count(1..=1_000_000_000_000));

    /// How long deleted states are remembered for clients that ask what changed.
    tombstone_ttl: Duration = "tombstone-ttl" DURATION "30d", duration(SECOND..=3650 * DAY);

    /// How long calls in flight may take to end at shutdown.
    drain_timeout: Duration = "drain-timeout" DURATION "20s", duration(MS..=HOUR);

    /// How long writing what is not yet written may take at shutdown.
    flush_timeout: Duration = "flush-timeout" DURATION "60s", duration(MS..=DAY);

    /// The shape of the log: auto (text on a terminal, JSON otherwise), text or json.
    log_format: LogFormat =
        "log-format" FORMAT "auto", choice(LogFormat::NAMES, LogFormat::LATER);

    /// What is logged: a level, or levels by target such as info,readstates=debug.
    log_filter: String = "log-filter" DIRECTIVES "info,fjall=warn,lsm_tree=warn", filter;

    /// The largest request, in bytes on the wire.
    max_request_bytes: u64 = "max-request-bytes" SIZE "1MiB", size(KIB..=GIB);

    /// The most items (users, operations, acks, states, targets) in one request.
    max_items: usize = "max-items" NUMBER "10000", count(1..=1_000_000);

    /// The most keys or users whose states one BatchGet or GetSummary asks for.
    max_keys: usize = "max-keys" NUMBER "1000", count(1..=1_000_000);

    /// The most states on one page of List; a larger page size is cut to it.
    max_page_size: usize = "max-page-size" NUMBER "10000", count(1..=1_000_000);

    /// The most loads from the store at once.
    max_concurrent_loads: usize = "max-concurrent-loads" NUMBER "256", count(1..=65_536);

    /// How the threads that serve calls share the connections: per-core (each has connections of
    /// its own) or shared (whichever is free takes the next call of any connection).
    runtime: RuntimeForm =
        "runtime" RUNTIME "per-core", choice(RuntimeForm::NAMES, RuntimeForm::LATER);

    /// Threads that serve calls; auto is one for each processor there is.
    serve_threads: Option<usize> = "serve-threads" NUMBER "auto", auto_or(count(1..=1_024));

    /// The most calls at once, streams not counted. Reads of one state are refused where three
    /// quarters are taken, calls about many states where half are.
    max_in_flight: usize = "max-in-flight" NUMBER "8192", count(2..=1_000_000);

    /// The most calls at once that are about many states: lists, batches, fan-outs.
    max_bulk_in_flight: usize = "max-bulk-in-flight" NUMBER "512", count(1..=1_000_000);

    /// The most streams at once: watches, streams of operations, dumps.
    max_streams: usize = "max-streams" NUMBER "16384", count(1..=10_000_000);

    /// Refusals of what is too much that are told in a second. Beyond it they are told later, by
    /// four seconds at most, while max-waiting-refusals has room and memory is not short: each
    /// costs time that what was taken on needs.
    refusals_per_second: u32 = "refusals-per-second" NUMBER "2000", count(1..=1_000_000);

    /// The most calls at once that are told later that they are refused, each with some 7 KiB of
    /// memory, and at most half of max-concurrent-streams on one connection; beyond it they are
    /// told as they come.
    max_waiting_refusals: usize = "max-waiting-refusals" NUMBER "16384", count(0..=1_000_000);

    /// Memory for long answers that callers have yet to take; beyond it calls about many states
    /// are refused.
    max_answer_memory: u64 = "max-answer-memory" SIZE "256MiB", size(MIB..=16 * TIB);

    /// How long a call may take that is no stream, whatever its caller allows.
    max_call_time: Duration = "max-call-time" DURATION "60s", duration(MS..=DAY);

    /// The memory that this process may have; auto is what its control group may. At nine tenths of
    /// it only calls about one state are served.
    memory_limit: Option<u64> = "memory-limit" SIZE "auto", auto_or(size(16 * MIB..=16 * TIB));

    /// The most connections of callers at once; more are closed as they come.
    max_connections: usize = "max-connections" NUMBER "10000", count(1..=1_000_000);

    /// The most connections from one address (of IPv6 from one network of 64 bits); none where
    /// all callers come through a proxy.
    max_connections_per_peer: Option<usize> =
        "max-connections-per-peer" NUMBER "1000", none_or(count(1..=1_000_000));

    /// How long a new connection may take to encrypt itself and to begin HTTP/2.
    handshake_timeout: Duration = "handshake-timeout" DURATION "10s", duration(MS..=HOUR);

    /// A connection is asked to end after this long, give or take a tenth, so that callers spread
    /// anew over servers.
    max_connection_age: Option<Duration> =
        "max-connection-age" DURATION "none", none_or(duration(SECOND..=30 * DAY));

    /// How long calls of a connection that was asked to end may go on; then it is cut.
    max_connection_age_grace: Duration =
        "max-connection-age-grace" DURATION "30s", duration(MS..=DAY);

    /// A connection whose peer takes nothing of what waits for it is cut after this long.
    stall_timeout: Duration = "stall-timeout" DURATION "2m", duration(SECOND..=HOUR);

    /// The certificate of this server with its chain, in PEM. With it every connection over the
    /// network is encrypted. It is read anew when the file changes.
    tls_cert_file: Option<PathBuf> = "tls-cert-file" FILE "none", none_or(file);

    /// The key of tls-cert-file, in PEM. It is read anew when the file changes.
    tls_key_file: Option<PathBuf> = "tls-key-file" FILE "none", none_or(file);

    /// Certificates of those who may vouch for callers, in PEM. With it callers are asked for a
    /// certificate. It is read anew when the file changes.
    tls_client_ca_file: Option<PathBuf> = "tls-client-ca-file" FILE "none", none_or(file);

    /// Whether a caller without a certificate is let in all the same, where tls-client-ca-file
    /// is given: it may have a token.
    tls_client_cert_optional: bool = "tls-client-cert-optional" SWITCH "false", switch;

    /// How often the files of tls-cert-file, tls-key-file and tls-client-ca-file are looked at.
    tls_reload_every: Duration = "tls-reload-every" DURATION "10s", duration(MS..=DAY);

    /// The most calls at once on one connection.
    max_concurrent_streams: u32 = "max-concurrent-streams" NUMBER "1024", count(1..=1_000_000);

    /// The most users watched at once; one counts once for each stream that watches it.
    max_watched_users: usize = "max-watched-users" NUMBER "250000", count(1..=100_000_000);

    /// The most changes that wait for one stream that watches and does not read; with more it is
    /// ended, and resumes by version.
    max_watch_queue: usize = "max-watch-queue" NUMBER "16384", count(1..=10_000_000);

    /// Memory for changes that wait for all streams that watch. One of them gets at most a quarter
    /// of what is free.
    watch_memory: u64 = "watch-memory" SIZE "64MiB", size(64 * KIB..=16 * TIB);

    /// The most rows written to the store in one batch.
    flush_batch_rows: usize = "flush-batch-rows" NUMBER "4096", count(1..=1_000_000);

    /// Memory for the block cache of the embedded store.
    store_cache_memory: u64 = "store-cache-memory" SIZE "64MiB", size(MIB..=16 * TIB);

    /// Wait while another service has the keyspace, and take over when it ends. Without it a
    /// service refuses to start beside another.
    standby: bool = "standby" SWITCH "false", switch;

    /// What this service is called by others that want its keyspace; auto is its host and port.
    owner_name: Option<String> = "owner-name" NAME "auto", auto_or(text);

    /// Some nodes of the cluster, separated by commas; the others are learned from them.
    cassandra_contact_points: Vec<String> =
        "cassandra-contact-points" HOSTS "127.0.0.1:9042", hosts;

    /// The keyspace of the cluster.
    cassandra_keyspace: String = "cassandra-keyspace" NAME "readstates", identifier;

    /// The datacenter whose nodes are asked; none where the cluster has only one.
    cassandra_datacenter: Option<String> = "cassandra-datacenter" NAME "none", none_or(text);

    /// How many replicas have to answer: local-quorum, quorum or each-quorum.
    cassandra_consistency: ReplicaQuorum =
        "cassandra-consistency" CONSISTENCY "local-quorum",
        choice(ReplicaQuorum::NAMES, ReplicaQuorum::LATER);

    /// Whom the nodes know this service as.
    cassandra_user: Option<String> = "cassandra-user" NAME "none", none_or(text);

    /// A file with the password of cassandra-user.
    cassandra_password_file: Option<Secret> =
        "cassandra-password-file" FILE "none", none_or(secret);

    /// Certificates of those who may vouch for a node, in PEM. With it connections are encrypted.
    cassandra_ca_file: Option<PathBuf> = "cassandra-ca-file" FILE "none", none_or(file);

    /// The certificate of this service with its chain, in PEM, where nodes ask for one.
    cassandra_cert_file: Option<PathBuf> = "cassandra-cert-file" FILE "none", none_or(file);

    /// The key of cassandra-cert-file, in PEM.
    cassandra_key_file: Option<PathBuf> = "cassandra-key-file" FILE "none", none_or(file);

    /// How long a request to the cluster may take, with all its tries.
    cassandra_request_timeout: Duration =
        "cassandra-request-timeout" DURATION "5s", duration(MS..=HOUR);

    /// How long a connection to a node may take to open.
    cassandra_connect_timeout: Duration =
        "cassandra-connect-timeout" DURATION "5s", duration(MS..=HOUR);

    /// The most requests to the cluster at once; more wait.
    cassandra_max_requests: usize = "cassandra-max-requests" NUMBER "256", count(1..=32_768);

    /// A read that was not answered after this long is sent to a second node as well.
    cassandra_speculate_after: Option<Duration> =
        "cassandra-speculate-after" DURATION "none", none_or(duration(MS..=HOUR));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_spelled_for_flags() {
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert!(keys.iter().all(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn every_setting_has_help_that_ends_as_a_sentence() {
        for setting in SETTINGS {
            assert!(setting.help().ends_with('.'), "{}", setting.key);
            assert!(!setting.help().contains("  "), "{}", setting.key);
        }
    }
}
