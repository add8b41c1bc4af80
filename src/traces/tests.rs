//! What the variables `OTEL_*` make of traces, and what is complained of.

use std::time::Duration;

use super::{
    environment::{Settings, TlsFiles, shown},
    sampling::{Root, Sampling},
};

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

fn read(variables: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
    Settings::read(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// With an endpoint and `variables`, about which there is nothing to complain.
#[track_caller]
fn settings(variables: &[(&str, &str)]) -> Settings {
    let (settings, complaints) = read(&[variables, &[ENDPOINT]].concat());
    assert_eq!(complaints, [""; 0]);
    settings.expect("traces are wanted")
}

/// The one complaint about `variables`, and whether there are traces all the same.
#[track_caller]
fn complaint(variables: &[(&str, &str)]) -> (String, bool) {
    let (settings, mut complaints) = read(&[variables, &[ENDPOINT]].concat());
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    (complaints.remove(0), settings.is_some())
}

#[test]
fn without_an_endpoint_nothing_is_wanted_and_nothing_is_wrong() {
    assert_eq!(
        read(&[("OTEL_TRACES_SAMPLER", "xray"), ("OTEL_SDK_DISABLED", "maybe")]),
        (None, vec![])
    );
    assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), (None, vec![]));
    assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]), (None, vec![]));
    assert_eq!(read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), (None, vec![]));
}

#[test]
fn an_endpoint_is_enough() {
    let wanted = Settings {
        endpoint: "http://collector:4317".to_owned(),
        tls: None,
        export_timeout: Duration::from_secs(10),
        sampling: Sampling { follows: true, root: Root::None },
        reads_parents: true,
        queue_spans: 2_048,
        batch_spans: 512,
        delay: Duration::from_secs(5),
    };
    assert_eq!(settings(&[]), wanted);
    let usual = [
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0, x-tenant = chat"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod"),
        ("OTEL_PROPAGATORS", "tracecontext,baggage"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ];
    assert_eq!(settings(&usual), wanted);
}

#[test]
fn what_is_said_of_traces_counts_before_what_is_said_of_all() {
    let of_traces = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let settings = settings(&of_traces);
    assert_eq!(settings.endpoint, "http://traces:1");
    assert_eq!(settings.export_timeout, Duration::from_millis(250));
}

#[test]
fn the_queue_is_bounded_as_asked() {
    let limits = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "30"),
    ];
    let settings = settings(&limits);
    assert_eq!((settings.queue_spans, settings.batch_spans), (100, 100));
    assert_eq!(settings.delay, Duration::from_millis(30));
}

#[test]
fn an_endpoint_without_a_scheme_is_encrypted_unless_it_is_told_not_to_be() {
    let bare = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317");
    let plain = settings(&[bare, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]);
    assert_eq!((plain.endpoint.as_str(), plain.tls), ("http://collector:4317", None));
    let (words, is_on) = complaint(&[bare]);
    assert!(!is_on && words.contains("https://collector:4317 needs"), "{words}");
    let files = [
        bare,
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "me.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "me.key"),
    ];
    let identity = Some(("me.pem".to_owned(), "me.key".to_owned()));
    let wanted = TlsFiles { authority: "ca.pem".to_owned(), identity };
    assert_eq!(settings(&files).tls, Some(wanted));
    let (words, is_on) = complaint(&files[..3]);
    assert!(is_on && words.contains("one without the other"), "{words}");
}

#[test]
fn what_is_not_supported_is_told() {
    for (name, value, is_on_all_the_same) in [
        ("OTEL_SDK_DISABLED", "yes", true),
        ("OTEL_TRACES_EXPORTER", "zipkin", false),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///run/collector", false),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", false),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", false),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", true),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", true),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote", true),
        ("OTEL_PROPAGATORS", "tracecontext,b3", true),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", true),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", true),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many", true),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1000", true),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=chat,prod", true),
    ] {
        let (words, is_on) = complaint(&[(name, value)]);
        assert!(words.starts_with(name) && is_on == is_on_all_the_same, "{value}: {words}");
    }
    let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
    assert_eq!(
        settings(&[sampler, ("OTEL_TRACES_SAMPLER_ARG", "0.25")]).sampling.root,
        Root::Share(0.25)
    );
    for bad in ["1.5", "NaN", "half"] {
        let (words, is_on) = complaint(&[sampler, ("OTEL_TRACES_SAMPLER_ARG", bad)]);
        assert!(is_on && words.starts_with("OTEL_TRACES_SAMPLER_ARG"), "{bad}: {words}");
    }
}

#[test]
fn parents_are_read_unless_propagators_leave_them_out() {
    assert!(!settings(&[("OTEL_PROPAGATORS", "none")]).reads_parents);
    assert!(!settings(&[("OTEL_PROPAGATORS", "baggage")]).reads_parents);
}

#[test]
fn nothing_secret_is_told() {
    let (words, _) = complaint(&[("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=chat,hunter2")]);
    assert!(words.contains("entry 2") && !words.contains("hunter2"), "{words}");
    let secret = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://me:hunter2@collector:4317/path");
    let (words, _) = complaint(&[secret]);
    assert!(words.contains("https://collector:4317 ") && !words.contains("hunter2"), "{words}");
    assert_eq!(shown("http://[::1]:4317/path"), "http://[::1]:4317");
    assert_eq!(shown("http://collector"), "http://collector");
}
