//! A connection: opens streams as they become free, and reads no more of an answer than it must.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    calls::Calls,
    frame::{self, HEAD_BYTES, Head},
};

/// An answer that takes longer will not come.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Above the longest frame that a peer may send by default.
const INPUT_BYTES: usize = 1 << 18;
/// So many streams from the oldest open one to the next, at most.
const PLACES: usize = 1 << 16;
/// Then the connection is replaced: ids end at 2^31 - 1.
const STREAM_MAX: u32 = (1 << 31) - 3;
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// What both sides grant before they say otherwise.
const WINDOW_DEFAULT: u32 = (1 << 16) - 1;
/// Received bytes after which as many are granted anew.
const TOP_UP_BYTES: u32 = 1 << 30;

const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// What a stream has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Called,
    /// The message is here, the trailers are not.
    Answered {
        changed: bool,
    },
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub answered: u64,
    pub changed: u64,
    pub failed: u64,
}

pub struct Connection {
    address: SocketAddr,
    socket: TcpStream,
    calls: Calls,
    pub tally: Tally,
    wanted: usize,
    granted: usize,
    places: Box<[Place]>,
    open: usize,
    next: u32,
    /// Bytes of messages that the server takes.
    window: i64,
    received: u32,
    out: Vec<u8>,
    input: Box<[u8]>,
    filled: usize,
}

impl Connection {
    pub fn open(address: SocketAddr, calls: Calls, wanted: usize) -> io::Result<Self> {
        let mut connection = Self {
            address,
            socket: connect(address)?,
            calls,
            tally: Tally::default(),
            wanted,
            granted: usize::MAX,
            places: vec![Place::Free; PLACES].into(),
            open: 0,
            next: 1,
            window: WINDOW_DEFAULT.into(),
            received: 0,
            out: Vec::new(),
            input: vec![0; INPUT_BYTES].into(),
            filled: 0,
        };
        connection.greet()?;
        Ok(connection)
    }

    /// Calls under way at once.
    pub fn streams(&self) -> usize {
        self.wanted.min(self.granted)
    }

    /// Calls wherever a stream is free, and takes in what has been answered since.
    pub fn turn(&mut self) -> io::Result<()> {
        if self.next > STREAM_MAX && self.open == 0 {
            self.replace()?;
        }
        self.call();
        self.flush()?;
        self.receive()
    }

    /// Waits for the answers that are still to come.
    pub fn finish(&mut self) -> io::Result<()> {
        while self.open > 0 {
            self.flush()?;
            self.receive()?;
        }
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        self.socket = connect(self.address)?;
        self.granted = usize::MAX;
        self.next = 1;
        self.window = WINDOW_DEFAULT.into();
        self.received = 0;
        self.out.clear();
        self.filled = 0;
        self.greet()
    }

    /// Says hello, and waits for the server's settings, which come first.
    fn greet(&mut self) -> io::Result<()> {
        self.out.extend_from_slice(frame::PREFACE);
        let mut settings = Vec::new();
        for (name, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW_MAX)] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame::put(&mut self.out, frame::SETTINGS, 0, 0, &settings);
        let more = WINDOW_MAX - WINDOW_DEFAULT;
        frame::put(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        self.flush()?;
        while self.granted == usize::MAX {
            self.receive()?;
        }
        Ok(())
    }

    fn call(&mut self) {
        let bytes = self.calls.data_bytes() as i64;
        while self.open < self.streams() && self.window >= bytes && self.next <= STREAM_MAX {
            let place = place_of(self.next);
            if self.places[place] != Place::Free {
                return;
            }
            self.places[place] = Place::Called;
            self.calls.put(&mut self.out, self.next);
            self.next += 2;
            self.open += 1;
            self.window -= bytes;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// One read, and every whole frame that is there then.
    fn receive(&mut self) -> io::Result<()> {
        match self.socket.read(&mut self.input[self.filled..])? {
            0 => return Err(broken("the server ended the connection")),
            read => self.filled += read,
        }
        let mut at = 0;
        while let Some(head) = Head::read(&self.input[at..self.filled]) {
            let end = at + HEAD_BYTES + head.length;
            if end > self.filled {
                break;
            }
            self.take(head, at + HEAD_BYTES)?;
            at = end;
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// A frame whose payload is at `at` of the input.
    fn take(&mut self, head: Head, at: usize) -> io::Result<()> {
        match head.kind {
            frame::DATA => self.take_message(head, at),
            frame::HEADERS if head.has(frame::END_STREAM) => self.take_end(head),
            frame::RST_STREAM => self.take_end(head),
            frame::SETTINGS if !head.has(frame::ACK) => self.take_settings(head, at),
            frame::PING if !head.has(frame::ACK) => {
                let payload = &self.input[at..at + head.length];
                frame::put(&mut self.out, frame::PING, frame::ACK, 0, payload);
                Ok(())
            }
            frame::WINDOW_UPDATE if head.stream == 0 => {
                self.window += i64::from(self.number(at)?);
                Ok(())
            }
            frame::GOAWAY => Err(broken("the server says farewell")),
            frame::CONTINUATION | frame::PUSH_PROMISE => Err(broken("a frame nobody expects")),
            _ => Ok(()),
        }
    }

    fn take_message(&mut self, head: Head, at: usize) -> io::Result<()> {
        self.received += head.length as u32;
        if self.received >= TOP_UP_BYTES {
            let bytes = self.received.to_be_bytes();
            frame::put(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &bytes);
            self.received = 0;
        }
        let place = &mut self.places[place_of(head.stream)];
        if *place != Place::Called || head.has(frame::END_STREAM) || head.has(frame::PADDED) {
            return Err(broken("not one message and its trailers"));
        }
        let changed = self.calls.changed(&self.input[at..at + head.length]);
        *place = Place::Answered { changed };
        Ok(())
    }

    /// Trailers with nothing before them, and an end without trailers, are those of an error.
    fn take_end(&mut self, head: Head) -> io::Result<()> {
        let place = std::mem::replace(&mut self.places[place_of(head.stream)], Place::Free);
        match place {
            Place::Free => return Err(broken("the end of a stream that is not open")),
            Place::Answered { changed } if head.kind == frame::HEADERS => {
                self.tally.answered += 1;
                self.tally.changed += u64::from(changed);
            }
            Place::Called | Place::Answered { .. } => self.tally.failed += 1,
        }
        self.open -= 1;
        Ok(())
    }

    fn take_settings(&mut self, head: Head, at: usize) -> io::Result<()> {
        if self.granted == usize::MAX {
            // No limit where the server names none.
            self.granted = PLACES;
        }
        for at in (at..at + head.length).step_by(6) {
            let value = self.number(at + 2)?;
            match u16::from_be_bytes([self.input[at], self.input[at + 1]]) {
                MAX_CONCURRENT_STREAMS => self.granted = (value as usize).min(PLACES),
                INITIAL_WINDOW_SIZE if (value as usize) < self.calls.data_bytes() => {
                    return Err(broken("a window smaller than a call"));
                }
                _ => {}
            }
        }
        frame::put(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(())
    }

    fn number(&self, at: usize) -> io::Result<u32> {
        let bytes = self.input.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or_else(|| broken("a cut frame"))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    Ok(socket)
}

/// Streams of a client have odd ids.
fn place_of(stream: u32) -> usize {
    (stream >> 1) as usize % PLACES
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
