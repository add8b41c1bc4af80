//! Frames of HTTP/2 (RFC 9113) and the few representations of headers (RFC 7541) that are needed.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Before each frame's payload.
pub const HEAD_BYTES: usize = 9;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// What a frame begins with.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Head {
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Some(Self { length, kind, flags, stream })
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a whole frame.
pub fn put(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = payload.len() as u32;
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A number of the tables below that is a whole header.
pub const METHOD_POST: u8 = 0x83;
pub const SCHEME_HTTP: u8 = 0x86;

/// Numbers of names in the static table.
pub const AUTHORITY: u8 = 1;
pub const PATH: u8 = 4;
pub const CONTENT_TYPE: u8 = 31;
pub const USER_AGENT: u8 = 58;

/// The first number of the dynamic table.
const DYNAMIC: u8 = 62;

/// A value under a name of the static table (below 15), which no table remembers.
pub fn put_unindexed(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(name);
    put_text(block, value);
}

/// A value under a name of the static table, which the dynamic table remembers.
pub fn put_indexed(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(0x40 | name);
    put_text(block, value);
}

/// The same under a name of no table.
pub fn put_named(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0x40);
    put_text(block, name);
    put_text(block, value);
}

/// The header that was remembered so many headers ago.
pub fn put_remembered(block: &mut Vec<u8>, ago: u8) {
    block.push(0x80 | (DYNAMIC + ago));
}

/// Plain, not in Huffman's code.
fn put_text(block: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 127, "longer texts have longer lengths");
    block.push(length);
    block.extend_from_slice(text.as_bytes());
}
