//! What a scrape shows.

use std::{
    collections::BTreeSet, io::Write as _, process::Command, process::Stdio, time::Duration,
};

use super::*;

/// Every metric of the server, as dashboards and alerts know it.
const NAMES: [&str; 81] = [
    "grpc_server_handled_total",
    "grpc_server_handling_seconds",
    "grpc_server_started_total",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "readstates_accept_errors_total",
    "readstates_answers_waiting_bytes",
    "readstates_build_info",
    "readstates_cache_bytes",
    "readstates_cache_capacity_entries",
    "readstates_cache_entries",
    "readstates_cache_evictions_total",
    "readstates_cache_hits_total",
    "readstates_cache_misses_total",
    "readstates_cache_victims",
    "readstates_callers",
    "readstates_callers_expired",
    "readstates_callers_loaded_timestamp_seconds",
    "readstates_callers_reload_failures_total",
    "readstates_coalesced_loads_total",
    "readstates_connections",
    "readstates_connections_cut_total",
    "readstates_connections_rejected_total",
    "readstates_dirty_entries",
    "readstates_dirty_limit_entries",
    "readstates_dirty_refused_total",
    "readstates_flush_batches_total",
    "readstates_flush_failures_total",
    "readstates_flush_retries_total",
    "readstates_flush_rows_total",
    "readstates_flush_seconds",
    "readstates_flush_write_running_seconds",
    "readstates_handshake_failures_total",
    "readstates_in_flight_requests",
    "readstates_journal_bytes",
    "readstates_journal_checkpoint_age_seconds",
    "readstates_journal_checkpoints_total",
    "readstates_journal_commit_bytes",
    "readstates_journal_commit_records",
    "readstates_journal_commit_seconds",
    "readstates_journal_commits_total",
    "readstates_journal_durable_lag_bytes",
    "readstates_journal_durable_lag_records",
    "readstates_journal_failed",
    "readstates_journal_pending_bytes",
    "readstates_journal_pending_limit_bytes",
    "readstates_journal_recovered_records",
    "readstates_journal_recovery_seconds",
    "readstates_journal_refused_total",
    "readstates_journal_seals_total",
    "readstates_journal_segments",
    "readstates_lease_deadline_seconds",
    "readstates_lease_epoch",
    "readstates_lease_held",
    "readstates_lease_renewals_total",
    "readstates_lease_unknown_total",
    "readstates_loads_in_flight",
    "readstates_memory_limit_bytes",
    "readstates_memory_used_bytes",
    "readstates_offer_failures_total",
    "readstates_offer_records_total",
    "readstates_oldest_dirty_age_seconds",
    "readstates_refusals_waiting",
    "readstates_requests_denied_total",
    "readstates_requests_rejected_total",
    "readstates_store_errors_total",
    "readstates_store_operation_seconds",
    "readstates_tls_certificate_not_after_seconds",
    "readstates_tls_reload_failures_total",
    "readstates_tls_reloads_total",
    "readstates_watch_ended_total",
    "readstates_watch_events_total",
    "readstates_watch_queue_depth",
    "readstates_watch_streams",
    "readstates_watch_waiting_changes",
    "readstates_watched_users",
];

fn metrics() -> Metrics {
    Metrics::new().expect("names are distinct and valid")
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no series {series} in:\n{text}")).parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn every_metric_is_there_from_the_start() {
    let metrics = metrics();
    metrics.connections.of("serving-0");
    let text = metrics.encode().expect("it encodes");
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let expected: BTreeSet<_> = NAMES.into_iter().collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), expected);
}

/// Labels multiply series, and a scrape is read by many: none may tell users or callers apart.
#[test]
fn labels_say_what_was_done_and_never_for_whom() {
    const LABELS: [&str; 15] = [
        "cause",
        "grpc_code",
        "grpc_method",
        "grpc_service",
        "grpc_type",
        "kind",
        "le",
        "operation",
        "reason",
        "result",
        "runtime",
        "rustc",
        "shape",
        "state",
        "version",
    ];
    let metrics = metrics();
    metrics.connections.of("serving-0");
    let text = metrics.encode().expect("it encodes");
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        // Values are in quotes: what is outside of them are names.
        let outside = labels.split('"').step_by(2);
        found.extend(outside.filter_map(|name| name.trim_start_matches(',').strip_suffix('=')));
    }
    let known = BTreeSet::from(LABELS);
    assert!(found.is_subset(&known), "{:?}", found.difference(&known));
}

#[test]
fn every_method_and_code_is_there_at_zero() {
    let text = metrics().encode().expect("it encodes");
    let series = "grpc_server_handled_total{grpc_code=\"Aborted\",grpc_method=\"Ack\",\
                  grpc_service=\"readstates.v1.ReadStatesService\",grpc_type=\"unary\"}";
    assert_eq!(value(&text, series), 0.0);
    let series = text.lines().filter(|line| line.starts_with("grpc_server_handled_total{"));
    let methods: usize = rpc::SERVICES.iter().map(|(_, methods)| methods.len()).sum();
    assert_eq!(series.count(), (methods + 1) * 17);
}

#[test]
fn the_methods_are_those_of_the_contract() {
    let contracts = [
        ("ReadStatesService", include_str!("../../proto/readstates/v1/readstates.proto")),
        ("MaintenanceService", include_str!("../../proto/readstates/v1/maintenance.proto")),
    ];
    for (name, contract) in contracts {
        let methods = contract.lines().filter_map(|line| {
            let declared = line.trim().strip_prefix("rpc ")?;
            let (name, rest) = declared.split_once('(')?;
            let call_type = match rest.matches("stream ").count() {
                0 => CallType::Unary,
                1 => CallType::ServerStream,
                _ => CallType::BidiStream,
            };
            Some((name, call_type))
        });
        assert!(contract.contains(&format!("service {name} {{")));
        let full_name = format!("readstates.v1.{name}");
        let known = rpc::SERVICES.iter().find(|(service, _)| *service == full_name);
        let (_, known) = known.expect("every service is counted");
        assert_eq!(methods.collect::<Vec<_>>(), *known);
    }
}

#[test]
fn a_call_counts_under_its_method_and_code() {
    let metrics = metrics();
    let get = metrics.rpc.method("/readstates.v1.ReadStatesService/Get");
    get.start();
    get.finish(5, Duration::from_micros(30));
    get.finish(99, Duration::from_secs(9));
    let text = metrics.encode().expect("it encodes");
    let labels = "grpc_method=\"Get\",grpc_service=\"readstates.v1.ReadStatesService\",\
                  grpc_type=\"unary\"";
    assert_eq!(value(&text, &format!("grpc_server_started_total{{{labels}}}")), 1.0);
    for (code, count) in [("NotFound", 1.0), ("Unknown", 1.0), ("OK", 0.0)] {
        let series = format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}}");
        assert_eq!(value(&text, &series), count, "{code}");
    }
    for (bound, count) in [("0.000025", 0.0), ("0.00005", 1.0), ("2.5", 1.0), ("+Inf", 2.0)] {
        let series = format!("grpc_server_handling_seconds_bucket{{{labels},le=\"{bound}\"}}");
        assert_eq!(value(&text, &series), count, "{bound}");
    }
}

#[test]
fn callers_cannot_make_series_of_their_own() {
    let metrics = metrics();
    let lines = |metrics: &Metrics| metrics.encode().expect("it encodes").lines().count();
    let before = lines(&metrics);
    for path in ["/no.such/Method", "/readstates.v1.ReadStatesService/get", "", "/"] {
        metrics.rpc.method(path).start();
    }
    assert_eq!(lines(&metrics), before);
    let text = metrics.encode().expect("it encodes");
    let labels = "grpc_method=\"unknown\",grpc_service=\"unknown\",grpc_type=\"unary\"";
    assert_eq!(value(&text, &format!("grpc_server_started_total{{{labels}}}")), 4.0);
}

#[test]
fn the_cache_is_asked_at_every_scrape() {
    let metrics = metrics();
    let text = metrics.encode().expect("it encodes");
    assert_eq!(value(&text, "readstates_cache_entries"), 0.0);
    let hits = IntCounter::new("hits", "counts scrapes").expect("a valid name");
    let scrapes = hits.clone();
    let source = move || {
        scrapes.inc();
        CacheSnapshot {
            entries: 7,
            hits: scrapes.get(),
            evictions_clean: 2,
            evictions_dirty: 3,
            oldest_dirty_age_seconds: 1.5,
            ..CacheSnapshot::default()
        }
    };
    assert!(metrics.observe_cache(source));
    assert!(!metrics.observe_cache(CacheSnapshot::default));
    metrics.encode().expect("it encodes");
    let text = metrics.encode().expect("it encodes");
    assert_eq!(hits.get(), 2);
    assert_eq!(value(&text, "readstates_cache_entries"), 7.0);
    assert_eq!(value(&text, "readstates_cache_hits_total"), 2.0);
    assert_eq!(value(&text, "readstates_cache_evictions_total{state=\"clean\"}"), 2.0);
    assert_eq!(value(&text, "readstates_cache_evictions_total{state=\"dirty\"}"), 3.0);
    assert_eq!(value(&text, "readstates_oldest_dirty_age_seconds"), 1.5);
}

#[test]
fn the_journal_is_asked_at_every_scrape() {
    let metrics = metrics();
    let text = metrics.encode().expect("it encodes");
    assert_eq!(value(&text, "readstates_journal_failed"), 0.0);
    let source = || JournalSnapshot {
        durable_lag_records: 1,
        durable_lag_bytes: 2,
        pending_bytes: 3,
        pending_limit_bytes: 4,
        bytes: 5,
        segments: 6,
        checkpoint_age_seconds: 7.5,
        recovery_seconds: 8.5,
        recovered_records: 9,
        failed: true,
    };
    assert!(metrics.observe_journal(source));
    assert!(!metrics.observe_journal(JournalSnapshot::default));
    let text = metrics.encode().expect("it encodes");
    for (name, expected) in [
        ("durable_lag_records", 1.0),
        ("durable_lag_bytes", 2.0),
        ("pending_bytes", 3.0),
        ("pending_limit_bytes", 4.0),
        ("bytes", 5.0),
        ("segments", 6.0),
        ("checkpoint_age_seconds", 7.5),
        ("recovery_seconds", 8.5),
        ("recovered_records", 9.0),
        ("failed", 1.0),
    ] {
        assert_eq!(value(&text, &format!("readstates_journal_{name}")), expected, "{name}");
    }
}

#[test]
fn the_lease_is_asked_at_every_scrape() {
    let metrics = metrics();
    let text = metrics.encode().expect("it encodes");
    assert_eq!(value(&text, "readstates_lease_held"), 0.0);
    assert!(metrics.observe_lease(|| LeaseSnapshot {
        held: true,
        epoch: 7,
        deadline_seconds: 4.5
    }));
    assert!(!metrics.observe_lease(LeaseSnapshot::default));
    metrics.lease.clone().renewal(Renewal::Failed);
    metrics.lease.unknown();
    let text = metrics.encode().expect("it encodes");
    for (series, expected) in [
        ("held", 1.0),
        ("epoch", 7.0),
        ("deadline_seconds", 4.5),
        ("unknown_total", 1.0),
        ("renewals_total{result=\"renewed\"}", 0.0),
        ("renewals_total{result=\"failed\"}", 1.0),
        ("renewals_total{result=\"lost\"}", 0.0),
    ] {
        assert_eq!(value(&text, &format!("readstates_lease_{series}")), expected, "{series}");
    }
}

#[test]
fn a_commit_of_the_journal_counts_unless_it_is_discarded() {
    let metrics = metrics();
    metrics.journal.time_commit().observe_duration();
    metrics.journal.time_commit().stop_and_discard();
    metrics.journal.clone().refuse("disk_full");
    let text = metrics.encode().expect("it encodes");
    assert_eq!(value(&text, "readstates_journal_commit_seconds_count"), 1.0);
    for (reason, count) in [("disk_full", 1.0), ("failed", 0.0)] {
        let series = format!("readstates_journal_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(value(&text, &series), count, "{reason}");
    }
}

#[test]
fn every_operation_of_the_store_has_its_own_series() {
    let metrics = metrics();
    for operation in StoreOperation::ALL {
        let entry = metrics.store.operation(operation);
        entry.observe(Duration::from_millis(1));
        entry.fail("io");
    }
    let text = metrics.encode().expect("it encodes");
    for operation in StoreOperation::ALL {
        let label = operation.label();
        let count = format!("readstates_store_operation_seconds_count{{operation=\"{label}\"}}");
        assert_eq!(value(&text, &count), 1.0);
        let failed = format!("readstates_store_errors_total{{kind=\"io\",operation=\"{label}\"}}");
        assert_eq!(value(&text, &failed), 1.0);
    }
}

#[test]
fn the_kinds_of_errors_are_those_of_the_store() {
    use crate::store::StoreError;
    let errors = [
        StoreError::Unavailable(String::new()),
        StoreError::Corrupt(String::new().into()),
        StoreError::NewerFormat(String::new()),
        StoreError::Io(std::sync::Arc::new(std::io::Error::other("disk"))),
        StoreError::Closed,
    ];
    assert_eq!(errors.each_ref().map(StoreError::kind), store::ERROR_KINDS);
}

#[test]
fn the_reasons_of_refusals_are_those_of_the_journal() {
    use crate::journal::JournalError;
    let errors = [
        JournalError::DiskFull { folder: String::new(), what: String::new() },
        JournalError::Failed(std::sync::Arc::new(JournalError::Closed)),
        JournalError::Closed,
        JournalError::TooMany { records: 2, records_max: 1 },
    ];
    assert_eq!(errors.each_ref().map(JournalError::kind), journal::REFUSALS);
}

#[test]
fn the_build_names_version_and_compiler() {
    let text = metrics().encode().expect("it encodes");
    let line = text.lines().find(|line| line.starts_with("readstates_build_info{"));
    let line = line.expect("it is there");
    assert!(line.contains("rustc=\"rustc 1."), "{line}");
    assert!(line.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{line}");
}

/// Skipped, and says so, where there is no `promtool`; `.ci/run` installs and names one.
#[test]
fn promtool_has_nothing_to_say() {
    let named = std::env::var("READSTATES_TEST_PROMTOOL").ok();
    let promtool = named.clone().unwrap_or("promtool".to_owned());
    let spawned = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if named.is_some() => panic!("{promtool} was named and does not run: {error}"),
        Err(_) => return eprintln!("skipped: no promtool here"),
    };
    let text = metrics().encode().expect("it encodes");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && words.is_empty(), "{words}");
}
