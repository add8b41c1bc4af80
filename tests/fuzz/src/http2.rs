//! What a peer sends, drawn from bytes: frames of HTTP/2 whose lengths are right, mostly, and calls
//! made of them; or the bytes themselves.

use crate::draw::Draw;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAMES_MAX: usize = 64;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Unary calls first, in the order of `message`.
const METHODS: [&str; 26] = [
    "/readstates.v1.ReadStatesService/Ack",
    "/readstates.v1.ReadStatesService/Increment",
    "/readstates.v1.ReadStatesService/Reset",
    "/readstates.v1.ReadStatesService/MarkUnread",
    "/readstates.v1.ReadStatesService/AckPins",
    "/readstates.v1.ReadStatesService/Retract",
    "/readstates.v1.ReadStatesService/FanOut",
    "/readstates.v1.ReadStatesService/Get",
    "/readstates.v1.ReadStatesService/BatchGet",
    "/readstates.v1.ReadStatesService/List",
    "/readstates.v1.ReadStatesService/GetSummary",
    "/readstates.v1.ReadStatesService/BulkAck",
    "/readstates.v1.ReadStatesService/Restore",
    "/readstates.v1.ReadStatesService/Delete",
    "/readstates.v1.ReadStatesService/DeleteUser",
    "/readstates.v1.ReadStatesService/DeleteChannel",
    "/readstates.v1.ReadStatesService/Apply",
    "/readstates.v1.ReadStatesService/ApplyStream",
    "/readstates.v1.ReadStatesService/Watch",
    "/readstates.v1.MaintenanceService/Dump",
    "/readstates.v1.MaintenanceService/Load",
    "/readstates.v1.MaintenanceService/Verify",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/nobody.Has/This",
    "*",
];

/// Everything that a peer sends.
pub fn sent(draw: &mut Draw<'_>) -> Vec<u8> {
    if !draw.flag() {
        return draw.rest().to_vec();
    }
    let mut peer = Peer { sent: PREFACE.to_vec(), next_stream: 1 };
    peer.frame(SETTINGS, 0, 0, &[]);
    for _ in 0..FRAMES_MAX {
        if draw.is_done() {
            break;
        }
        peer.step(draw);
    }
    peer.sent
}

/// The bytes of which [`sent`] makes a call of each of these requests, by method, and of one with
/// all frames that there are; and plain bytes.
pub fn seeds(requests: &[(u8, Vec<u8>)]) -> Vec<Vec<u8>> {
    let call = |(method, request): &(u8, Vec<u8>)| {
        let head = [0, *method, 1, 0, 0, request.len() as u8];
        [&head[..], request].concat()
    };
    let mut seeds: Vec<_> = requests.iter().map(|of| [vec![1], call(of)].concat()).collect();
    for stream in 17..26 {
        let (open, message) = ([1, 0, stream, 0, 0, 0, 0], [2, 1, 0, 0, 2, 8, 1]);
        seeds.push([&open[..], &message].concat());
    }
    let all = requests.iter().flat_map(call).collect::<Vec<_>>();
    seeds.push([vec![1], all].concat());
    // Settings, a ping, more window, a reset, a header list in two parts.
    let frames: &[u8] = &[
        3, 1, 4, 0, 0, 0, 99, 6, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 0, 0, 0, 1, 0, 5, 1, 8, 8, 2, 1, 97,
        1, 98, 9, 1, 0,
    ];
    seeds.push([&[1][..], frames].concat());
    seeds.push([&[0][..], PREFACE, &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]].concat());
    seeds.push(b"\0GET / HTTP/1.1\r\n\r\n".to_vec());
    seeds
}

struct Peer {
    sent: Vec<u8>,
    next_stream: u32,
}

impl Peer {
    fn step(&mut self, draw: &mut Draw<'_>) {
        match draw.below(10) {
            0 => self.call(draw),
            1 => {
                let (kind, flags, stream) = (draw.byte(), draw.byte(), stream(draw));
                self.frame(kind, flags, stream, draw.piece());
            }
            2 => {
                let (stream, flags) = (stream(draw), draw.byte());
                self.data(stream, flags, draw);
            }
            3 => {
                let settings: Vec<u8> = (0..draw.below(8))
                    .flat_map(|_| [&[0, draw.byte()][..], &draw.u64().to_be_bytes()[4..]].concat())
                    .collect();
                self.frame(SETTINGS, 0, 0, &settings);
            }
            4 => {
                let (stream, by) = (stream(draw), draw.number() as u32);
                self.frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
            }
            5 => {
                let (stream, code) = (stream(draw), u32::from(draw.byte()));
                self.frame(3, 0, stream, &code.to_be_bytes());
            }
            6 => self.frame(PING, draw.byte() & 1, 0, draw.take(8)),
            7 => self.sent.extend_from_slice(draw.piece()),
            8 => self.headers(draw),
            _ => {
                let stream = stream(draw);
                self.frame(CONTINUATION, draw.byte(), stream, draw.piece());
            }
        }
    }

    /// The headers of a call and its first message.
    fn call(&mut self, draw: &mut Draw<'_>) {
        let path = METHODS[draw.below(METHODS.len() as u64) as usize];
        let stream = self.next_stream;
        let (flags, extra) = (draw.byte(), draw.below(4));
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ] {
            put_header(&mut block, name.as_bytes(), value.as_bytes());
        }
        for _ in 0..extra {
            let name: &[u8] = match draw.below(5) {
                0 => b"grpc-timeout",
                1 => b"grpc-encoding",
                2 => b"x-request-id",
                3 => b"authorization",
                _ => draw.piece(),
            };
            put_header(&mut block, name, draw.piece());
        }
        self.next_stream += 2;
        self.frame(HEADERS, END_HEADERS, stream, &block);
        self.data(stream, flags & END_STREAM, draw);
    }

    /// A message of gRPC in one frame.
    fn data(&mut self, stream: u32, flags: u8, draw: &mut Draw<'_>) {
        let compressed = draw.byte();
        let message = draw.piece();
        let length = (message.len() as u32).to_be_bytes();
        self.frame(DATA, flags, stream, &[&[compressed][..], &length, message].concat());
    }

    /// Headers of any names and values.
    fn headers(&mut self, draw: &mut Draw<'_>) {
        let (flags, stream, count) = (draw.byte(), stream(draw), draw.below(16));
        let mut block = Vec::new();
        for _ in 0..count {
            put_header(&mut block, draw.piece(), draw.piece());
        }
        self.next_stream = self.next_stream.max(stream + 2);
        self.frame(HEADERS, flags, stream, &block);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        self.sent.extend_from_slice(&length[1..]);
        self.sent.extend_from_slice(&[kind, flags]);
        self.sent.extend_from_slice(&stream.to_be_bytes());
        self.sent.extend_from_slice(payload);
    }
}

fn stream(draw: &mut Draw<'_>) -> u32 {
    draw.byte().into()
}

/// A literal of RFC 7541, section 6.2.2, as long as one byte says.
fn put_header(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        let text = &text[..text.len().min(126)];
        block.push(text.len() as u8);
        block.extend_from_slice(text);
    }
}
