//! Hand-made frames of HTTP/2 that no client sends: whatever they are, memory stays bounded, the
//! server lives, and others are served.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use prost::Message as _;
use readstates::proto::AckRequest;

use crate::{admin::sample, http::get, server::Server};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A peer that was not answered by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// A server that takes nothing more for so long has stopped to read.
const DEAF_AFTER: Duration = Duration::from_secs(2);
/// What a server without states takes, with room.
const RESIDENT_MAX: f64 = 400e6;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header that no table keeps.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.push(value.len() as u8);
    bytes.extend(value.as_bytes());
    bytes
}

/// The headers of a call of `Ack`.
fn head() -> Vec<u8> {
    // POST and http have places in the static table.
    let mut block = vec![0x83, 0x86];
    block.extend(literal(":path", "/readstates.v1.ReadStatesService/Ack"));
    block.extend(literal(":authority", "a"));
    block.extend(literal("content-type", "application/grpc"));
    block.extend(literal("te", "trailers"));
    block
}

struct Peer(TcpStream);

impl Peer {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.grpc()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.set_write_timeout(Some(DEAF_AFTER)).expect("a time");
        let mut peer = Self(stream);
        let begun = peer.send(PREFACE) && peer.send(&frame(SETTINGS, 0, 0, &[]));
        assert!(begun, "it takes the beginning");
        peer
    }

    /// False where the server has ended the connection or takes nothing more.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Reads frames until one is of this kind; its payload, or none at the end.
    fn until(&mut self, wanted: u8) -> Option<Vec<u8>> {
        loop {
            let mut head = [0; 9];
            match self.0.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer"),
                Err(_) => return None,
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).ok()?;
            if head[3] == wanted {
                return Some(payload);
            }
        }
    }

    /// Reads to the end, which has to come.
    fn has_ended(mut self) -> bool {
        self.until(u8::MAX).is_none()
    }
}

/// What is left after an attack: the server answers, in bounded memory.
async fn survived(server: &Server, what: &str) {
    let mut client = server.client().await;
    let request = AckRequest { user_id: 1, channel_id: 2, message_id: 3, ..Default::default() };
    client.ack(request).await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
    let metrics = get(server.admin(), "/metrics").body;
    let resident = sample(&metrics, &["process_resident_memory_bytes "]).expect("it is there");
    assert!(resident < RESIDENT_MAX, "{what}: {resident} bytes");
}

fn server() -> Server {
    Server::with(&["--store=memory", "--cache-memory=16MiB"])
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_reset_as_they_come_end_the_connection() {
    let server = server();
    let mut peer = Peer::connect(&server);
    for number in 0..100_000 {
        let stream = 2 * number + 1;
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &head());
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        if !peer.send(&bytes) {
            break;
        }
    }
    assert!(peer.has_ended());
    survived(&server, "resets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_bytes_that_stand_for_many_headers_are_refused() {
    let server = server();
    let mut peer = Peer::connect(&server);
    let mut block = head();
    // One header of 4,000 bytes into the table, and its place in it three thousand times.
    const LENGTH: usize = 4_000;
    let above = LENGTH - 0x7f;
    block.extend([0x40, 1, b'x', 0x7f, (above & 0x7f | 0x80) as u8, (above >> 7) as u8]);
    block.extend(vec![b'y'; LENGTH]);
    block.extend(vec![0xbe; 3_000]);
    peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    // It is refused by itself, by an answer, a reset, or the end; the memory is not taken.
    survived(&server, "header bomb").await;
    drop(peer);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_an_end_end_the_connection() {
    let server = server();
    let mut peer = Peer::connect(&server);
    peer.send(&frame(HEADERS, 0, 1, &head()));
    let more = frame(CONTINUATION, 0, 1, &literal("x", &"y".repeat(100)));
    let sent = (0..200_000).take_while(|_| peer.send(&more)).count();
    assert!(sent < 200_000, "all of it was taken");
    assert!(peer.has_ended());
    survived(&server, "continuations").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_byte_by_byte_is_answered_and_empty_frames_take_no_memory() {
    let server = server();
    let mut peer = Peer::connect(&server);
    let message = AckRequest { user_id: 9, channel_id: 2, message_id: 3, ..Default::default() };
    let message = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    assert!(peer.send(&frame(HEADERS, END_HEADERS, 1, &head())));
    for byte in &framed {
        assert!(peer.send(&frame(DATA, 0, 1, &[*byte])));
    }
    assert!(peer.send(&frame(DATA, END_STREAM, 1, &[])));
    assert!(peer.until(DATA).is_some_and(|answer| answer.len() > 5));
    assert!(peer.send(&frame(HEADERS, END_HEADERS, 3, &head())));
    let empty = frame(DATA, 0, 3, &[]).repeat(100);
    let _ended_early = (0..2_000).all(|_| peer.send(&empty));
    survived(&server, "empty frames").await;
}

/// Whatever of it the server answers is not read.
async fn flooded(what: &str, flood: &[u8]) {
    let server = server();
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::connect(&server)).collect();
    let many = flood.repeat(1_000);
    thread::scope(|scope| {
        for peer in &mut peers {
            // Up to 17 MB each, or until the server does not read on.
            scope.spawn(|| (0..1_000).take_while(|_| peer.send(&many)).count());
        }
    });
    survived(&server, what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_without_end_whose_answers_nobody_reads_take_no_memory() {
    flooded("pings", &frame(PING, 0, 0, &[7; 8])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_without_end_whose_answers_nobody_reads_take_no_memory() {
    flooded("settings", &frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_the_connection_with_a_reason() {
    let server = server();
    for (what, bytes) in [
        ("data of no stream", frame(DATA, 0, 0, b"x")),
        ("an even stream", frame(HEADERS, END_HEADERS, 2, &head())),
        (
            "a window of more than there is",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
        ),
        ("a frame of 16 MiB", [&[0xff; 3][..], &[DATA, 0], &1_u32.to_be_bytes()].concat()),
        ("a ping of 7 bytes", frame(PING, 0, 0, &[1; 7])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
        ("headers that are none", frame(HEADERS, END_HEADERS, 1, &[0xff; 40])),
    ] {
        let mut peer = Peer::connect(&server);
        peer.send(&bytes);
        assert!(peer.until(GOAWAY).is_some(), "{what}: no reason was given");
        assert!(peer.has_ended(), "{what}");
    }
    survived(&server, "broken frames").await;
}
