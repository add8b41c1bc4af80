//! A collector of traces as a server may find one: it takes what is exported, or nothing at all.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use crate::wire::{ExportRequest, Resource, Span};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Flag and length before a message of gRPC.
const PREFIX_BYTES: usize = 5;
/// What has not come by then never will.
const EXPORT_LIMIT: Duration = Duration::from_secs(60);

/// What came in one call.
#[derive(Debug)]
pub struct Export {
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

/// Takes every export.
pub struct Collector {
    address: SocketAddr,
    exports: UnboundedReceiver<Export>,
}

impl Export {
    fn request(&self) -> ExportRequest {
        ExportRequest::decode(self.bytes.clone()).expect("it is of OTLP")
    }

    /// Whose spans they are.
    pub fn resource(&self) -> Resource {
        self.request().resource_spans.remove(0).resource.expect("there is one")
    }

    pub fn spans(&self) -> Vec<Span> {
        let of_resources = self.request().resource_spans.into_iter();
        of_resources.flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, exports) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, sender.clone()));
            }
        });
        Self { address, exports }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the next export.
    pub async fn export(&mut self) -> Export {
        let export = timeout(EXPORT_LIMIT, self.exports.recv()).await;
        export.expect("an export comes in time").expect("the collector runs")
    }

    /// Waits for the one span that comes next.
    pub async fn span(&mut self) -> Span {
        let mut spans = self.export().await.spans();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }

    /// What has come besides, once nobody sends any more.
    pub fn rest(&mut self) -> Vec<Export> {
        std::iter::from_fn(|| self.exports.try_recv().ok()).collect()
    }
}

async fn serve(socket: TcpStream, exports: UnboundedSender<Export>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(take(request, respond, exports.clone()));
    }
}

async fn take(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    exports: UnboundedSender<Export>,
) {
    let (parts, mut body) = request.into_parts();
    assert_eq!(parts.uri.path(), EXPORT);
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("it is sent to its end");
        body.flow_control().release_capacity(data.len()).expect("it was taken");
        bytes.extend_from_slice(&data);
    }
    assert_eq!(bytes[0], 0, "it is not compressed");
    let bytes = Bytes::from(bytes).split_off(PREFIX_BYTES);
    // Before the answer: once an exporter has ended, all that it sent is here.
    exports.send(Export { headers: parts.headers, bytes }).ok();
    let head = Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).expect("a response");
    let mut body = respond.send_response(head, false).expect("the exporter waits");
    let empty = Bytes::from_static(&[0; PREFIX_BYTES]);
    body.send_data(empty, false).expect("the exporter waits");
    let status = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), zero())]);
    body.send_trailers(status).expect("the exporter waits");
}

fn zero() -> HeaderValue {
    HeaderValue::from_static("0")
}
