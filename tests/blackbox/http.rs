//! Plain HTTP, as a probe or a scraper speaks it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// No answer takes as long.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    pub body: String,
}

/// GET on a connection of its own.
pub fn get(address: &str, path: &str) -> Answer {
    try_get(address, path).expect("the port answers")
}

/// As [`get`]; `None` where the port is closed, or closes instead of answering.
pub fn try_get(address: &str, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}
