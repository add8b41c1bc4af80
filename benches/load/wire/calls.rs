//! A call's frames, made once: only the stream's number and the numbers of the message change.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{Call, frame};

/// As in `states::request`.
const CHANNELS_PER_USER: u64 = 50;
const USER_AGENT: &str = "readstates-wire";
/// Before each message: not compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// Three fields of 8 bytes, each behind its tag: user, channel, message.
const ACK_BYTES: usize = 27;
const TAGS: [u8; 3] = [0x09, 0x11, 0x19];
/// How an `AckResponse` ends whose `changed` is set; the field before it ends otherwise.
const CHANGED: [u8; 2] = [0x10, 0x01];

/// Ids of messages rise over all connections, rounds and processes.
static NEXT_MESSAGE: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(since.as_micros() as u64)
});

/// Writes the calls of one connection.
pub struct Calls {
    /// The first call of a connection: the server is to remember its headers.
    first: Frames,
    further: Frames,
    keys: Option<Range<u64>>,
    random: SmallRng,
}

/// The two frames of a call.
struct Frames {
    bytes: Vec<u8>,
    /// Where the second begins.
    data_at: usize,
}

impl Calls {
    pub fn new(call: &Call, address: SocketAddr, seed: u64) -> Self {
        let (path, message) = match call {
            Call::Health => ("/grpc.health.v1.Health/Check", Vec::new()),
            Call::Ack(_) => ("/readstates.v1.ReadStatesService/Ack", ack()),
        };
        let keys = match call {
            Call::Health => None,
            Call::Ack(keys) => Some(keys.clone()),
        };
        Self {
            first: Frames::new(&introduced(path, &address.to_string()), &message),
            further: Frames::new(&remembered(path), &message),
            keys,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Bytes that a call takes of a window.
    pub fn data_bytes(&self) -> usize {
        self.further.bytes.len() - self.further.data_at - frame::HEAD_BYTES
    }

    /// Appends a call; stream 1 is the first of its connection.
    pub fn put(&mut self, out: &mut Vec<u8>, stream: u32) {
        let frames = if stream == 1 { &self.first } else { &self.further };
        let start = out.len();
        out.extend_from_slice(&frames.bytes);
        let call = &mut out[start..];
        let id = stream.to_be_bytes();
        call[5..9].copy_from_slice(&id);
        let data = &mut call[frames.data_at..];
        data[5..9].copy_from_slice(&id);
        if let Some(keys) = &self.keys {
            let key = self.random.random_range(keys.clone());
            fill(&mut data[frame::HEAD_BYTES + PREFIX_BYTES..], key);
        }
    }

    /// Whether this answer, its prefix included, is of an ack that changed its state.
    pub fn changed(&self, answer: &[u8]) -> bool {
        self.keys.is_some() && answer.ends_with(&CHANGED)
    }
}

impl Frames {
    fn new(headers: &[u8], message: &[u8]) -> Self {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, frame::HEADERS, frame::END_HEADERS, 0, headers);
        let data_at = bytes.len();
        let mut data = vec![0];
        data.extend_from_slice(&(message.len() as u32).to_be_bytes());
        data.extend_from_slice(message);
        frame::put(&mut bytes, frame::DATA, frame::END_STREAM, 0, &data);
        Self { bytes, data_at }
    }
}

/// The path goes whole with every call, as from clients made of tonic.
fn introduced(path: &str, authority: &str) -> Vec<u8> {
    let mut block = begun(path);
    frame::put_indexed(&mut block, frame::AUTHORITY, authority);
    frame::put_indexed(&mut block, frame::CONTENT_TYPE, "application/grpc");
    frame::put_indexed(&mut block, frame::USER_AGENT, USER_AGENT);
    frame::put_named(&mut block, "te", "trailers");
    block
}

fn remembered(path: &str) -> Vec<u8> {
    let mut block = begun(path);
    for ago in [3, 2, 1, 0] {
        frame::put_remembered(&mut block, ago);
    }
    block
}

fn begun(path: &str) -> Vec<u8> {
    let mut block = vec![frame::METHOD_POST, frame::SCHEME_HTTP];
    frame::put_unindexed(&mut block, frame::PATH, path);
    block
}

fn ack() -> Vec<u8> {
    let mut message = Vec::with_capacity(ACK_BYTES);
    for tag in TAGS {
        message.push(tag);
        message.extend_from_slice(&[0; size_of::<u64>()]);
    }
    message
}

fn fill(message: &mut [u8], key: u64) {
    let id = NEXT_MESSAGE.fetch_add(1, Ordering::Relaxed);
    message[1..9].copy_from_slice(&(key / CHANNELS_PER_USER + 1).to_le_bytes());
    message[10..18].copy_from_slice(&(key % CHANNELS_PER_USER + 1).to_le_bytes());
    message[19..27].copy_from_slice(&id.to_le_bytes());
}
