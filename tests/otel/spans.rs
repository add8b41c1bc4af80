//! What a collector is told of a call, and of which calls.

use bytes::Bytes;
use prost::Message as _;
use readstates::proto::GetRequest;
use tonic::{Code, Request, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::{
    asking::{CHANNEL, SPAN, USER, ack, get, hex, trace, watch, with, within},
    collector::Collector,
    server::Server,
    wire::{ERROR, SERVER, UNSET, told},
};

const SERVICE: &str = "readstates.v1.ReadStatesService";

/// One that sends each span as it ends, to `collector`.
fn serving(collector: &Collector, more: &[(&str, &str)]) -> Server {
    let endpoint = collector.endpoint();
    let usual = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
    ];
    Server::within(&[&usual, more].concat(), &[])
}

/// Whether `bytes` have a number: as text, as a number of fixed length, or as one of protobuf.
fn names(bytes: &[u8], number: u64) -> bool {
    let mut message = Vec::new();
    GetRequest { user_id: number, ..Default::default() }.encode(&mut message).expect("room");
    let forms = [
        number.to_string().into_bytes(),
        format!("{number:x}").into_bytes(),
        number.to_le_bytes().to_vec(),
        number.to_be_bytes().to_vec(),
        message.split_off(1),
    ];
    forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
}

#[tokio::test]
async fn a_sampled_call_is_a_span_in_the_trace_of_its_caller() {
    let mut collector = Collector::start().await;
    let who = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=chat%20one"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let server = serving(&collector, &who);
    let mut client = server.client().await;
    let request = with("tracestate", "vendor=opaque", within(1, true, ack()));
    let request = with("x-request-id", "mine-1", request);
    client.ack(request).await.expect("an ack is taken");
    let export = collector.export().await;
    assert_eq!(export.headers["x-tenant"], "chat one");
    let resource = export.resource();
    let resource = told(&resource.attributes);
    for wanted in [
        ("deployment.environment.name", "test"),
        ("service.name", "readstates"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(resource.iter().any(|(n, v)| (*n, v.as_str()) == wanted), "{resource:?}");
    }
    let span = export.spans().remove(0);
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (trace(1), SPAN.to_owned()));
    assert!(span.span_id.len() == 8 && hex(&span.span_id) != SPAN);
    assert_eq!(span.trace_state, "vendor=opaque");
    assert_eq!((span.name.as_str(), span.kind), (&*format!("{SERVICE}/Ack"), SERVER));
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    assert_eq!(span.status_code(), UNSET);
    let wanted = [
        ("readstates.request_id", "mine-1"),
        ("rpc.grpc.status_code", "0"),
        ("rpc.method", "Ack"),
        ("rpc.service", SERVICE),
        ("rpc.system", "grpc"),
    ];
    assert_eq!(told(&span.attributes), wanted.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(collector.rest().is_empty());
}

#[tokio::test]
async fn a_span_says_how_its_call_failed_without_words() {
    let mut collector = Collector::start().await;
    let server = serving(&collector, &[("OTEL_SERVICE_NAME", "states")]);
    let status = server.client().await.get(within(1, true, get())).await.expect_err("none");
    assert_eq!(status.code(), Code::NotFound);
    let export = collector.export().await;
    let resource = export.resource();
    assert!(told(&resource.attributes).contains(&("service.name", "states".to_owned())));
    let span = export.spans().remove(0);
    assert_eq!((span.status_code(), span.name), (UNSET, format!("{SERVICE}/Get")));
    assert!(told(&span.attributes).contains(&("rpc.grpc.status_code", "5".to_owned())));
    // What nobody serves is named by nobody.
    let mut grpc = Grpc::new(server.channel().await);
    grpc.ready().await.expect("it serves");
    let path = PathAndQuery::from_static("/readstates.v1.ReadStatesService/Invented");
    let codec = ProstCodec::<GetRequest, GetRequest>::default();
    let status = grpc.unary(within(2, true, get()), path, codec).await.expect_err("none");
    assert_eq!(status.code(), Code::Unimplemented);
    let export = collector.export().await;
    assert!(!export.bytes.windows(8).any(|window| window == b"Invented"));
    let span = export.spans().remove(0);
    assert_eq!((hex(&span.trace_id), span.status_code()), (trace(2), ERROR));
    assert_eq!(server.terminate().await.code, Some(0));
}

#[tokio::test]
async fn only_sampled_calls_arrive() {
    let mut collector = Collector::start().await;
    let server = serving(&collector, &[]);
    let mut client = server.client().await;
    client.ack(within(1, false, ack())).await.expect("an ack is taken");
    client.ack(ack()).await.expect("an ack is taken");
    for junk in ["", "00-1-2-01", &format!("ff-{}-{SPAN}-01", trace(1))] {
        let request = with("traceparent", junk, Request::new(ack()));
        client.ack(request).await.expect("an ack is taken");
    }
    let twice = with("traceparent", &format!("00-{}-{SPAN}-01", trace(1)), within(1, true, ack()));
    client.ack(twice).await.expect("an ack is taken");
    client.ack(within(2, true, ack())).await.expect("an ack is taken");
    assert_eq!(hex(&collector.span().await.trace_id), trace(2));
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(collector.rest().is_empty());
}

#[tokio::test]
async fn calls_without_a_caller_in_a_trace_are_sampled_where_that_is_asked_for() {
    let mut collector = Collector::start().await;
    let server = serving(&collector, &[("OTEL_TRACES_SAMPLER", "parentbased_always_on")]);
    let mut client = server.client().await;
    client.ack(within(1, false, ack())).await.expect("an ack is taken");
    client.ack(ack()).await.expect("an ack is taken");
    let span = collector.span().await;
    assert!(span.parent_span_id.is_empty() && span.trace_id.len() == 16, "{span:?}");
    assert_ne!(hex(&span.trace_id), trace(1));
    let with_share = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let none = serving(&collector, &with_share);
    none.client().await.ack(within(2, true, ack())).await.expect("an ack is taken");
    assert_eq!(none.terminate().await.code, Some(0));
    assert_eq!(server.terminate().await.code, Some(0));
    assert!(collector.rest().is_empty());
}

#[tokio::test]
async fn a_stream_has_one_span_which_the_end_of_the_server_sends_too() {
    let mut collector = Collector::start().await;
    let late = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000".to_owned()),
    ];
    let late = late.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::within(&late, &[]);
    let mut client = server.client().await;
    let request = with("x-request-id", "mine-2", within(1, true, watch()));
    let mut events = client.watch(request).await.expect("it is watched").into_inner();
    client.ack(within(2, true, ack())).await.expect("an ack is taken");
    server.signal("TERM");
    while let Ok(Some(_)) = events.message().await {}
    drop((events, client));
    let stopped = server.ended().await;
    assert_eq!(stopped.code, Some(0));
    let mut spans: Vec<_> = collector.rest().iter().flat_map(|export| export.spans()).collect();
    spans.sort_by(|one, other| one.trace_id.cmp(&other.trace_id));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, [&*format!("{SERVICE}/Watch"), &*format!("{SERVICE}/Ack")]);
    assert_eq!(spans[0].status_code(), ERROR);
    let told = told(&spans[0].attributes);
    for wanted in [("rpc.grpc.status_code", "14"), ("readstates.request_id", "mine-2")] {
        assert!(told.iter().any(|(name, value)| (*name, value.as_str()) == wanted), "{told:?}");
    }
    // What is logged of it leads to its trace.
    let line = stopped.log.iter().find(|line| line.contains("mine-2")).expect("it is logged");
    assert!(line.contains(&format!("\"trace_id\":\"{}\"", trace(1))), "{line}");
}

#[tokio::test]
async fn nothing_that_is_sent_names_a_user_or_a_channel() {
    let mut collector = Collector::start().await;
    let server = serving(&collector, &[]);
    let mut client = server.client().await;
    client.ack(within(1, true, ack())).await.expect("an ack is taken");
    client.get(within(2, true, get())).await.expect_err("there is none");
    drop(client.watch(within(3, true, watch())).await.expect("it is watched"));
    let mut sent: Vec<Bytes> = Vec::new();
    for _ in 1..=3 {
        sent.push(collector.export().await.bytes);
    }
    let mut request = Vec::new();
    ack().encode(&mut request).expect("room");
    for number in [USER, CHANNEL] {
        assert!(names(&request, number), "it would be found");
        assert!(!sent.iter().any(|bytes| names(bytes, number)), "{number}");
    }
    assert_eq!(server.terminate().await.code, Some(0));
}
