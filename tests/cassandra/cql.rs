//! As much of the native protocol, version 4, as tells whether nodes can be used: what a driver
//! would do too, but it asks a node of its choice, and this asks each.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A node that takes longer for one question is asked again.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// No answer to what is asked here is near it.
const BODY_MAX_BYTES: u32 = 1 << 20;

const REQUEST: u8 = 0x04;
const RESPONSE: u8 = 0x84;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;

const CONSISTENCY_ONE: u16 = 0x0001;
const CONSISTENCY_ALL: u16 = 0x0005;
/// A flag of queries: rows without their description.
const SKIP_METADATA: u8 = 0x02;
/// A kind of result.
const ROWS: u32 = 2;
/// A flag of rows: there is no description.
const NO_METADATA: u32 = 0x04;

/// Has three copies, thus one on every node of three.
const EVERYWHERE: &str = "SELECT view_name FROM system_distributed.view_build_status";

/// Whether the node at HOST:PORT answers clients.
pub async fn answers(address: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        Ok(exchange(&mut stream, OPTIONS, &[]).await?.0 == SUPPORTED)
    };
    within_limit(asked).await
}

/// Whether each of these nodes, which are a whole cluster, knows all others, sees them up and has
/// their schema.
pub async fn is_settled(addresses: &[String]) -> bool {
    let asked = async {
        let mut versions = Vec::new();
        for address in addresses {
            let mut stream = TcpStream::connect(address).await?;
            start(&mut stream).await?;
            let local = "SELECT schema_version FROM system.local";
            versions.extend(query(&mut stream, local, CONSISTENCY_ONE).await?);
            let peers = "SELECT schema_version FROM system.peers_v2";
            versions.extend(query(&mut stream, peers, CONSISTENCY_ONE).await?);
            query(&mut stream, EVERYWHERE, CONSISTENCY_ALL).await?;
        }
        let all = versions.len() == addresses.len() * addresses.len();
        Ok(all && versions.iter().all(|version| version.is_some() && *version == versions[0]))
    };
    within_limit(asked).await
}

async fn within_limit(asked: impl Future<Output = io::Result<bool>>) -> bool {
    timeout(ATTEMPT_LIMIT, asked).await.is_ok_and(|answer| answer.is_ok_and(|yes| yes))
}

async fn start(stream: &mut TcpStream) -> io::Result<()> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    for text in ["CQL_VERSION", "3.0.0"] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    match exchange(stream, STARTUP, &body).await? {
        (READY, _) => Ok(()),
        (other, _) => Err(unexpected(other)),
    }
}

/// The first column of every row.
async fn query(
    stream: &mut TcpStream,
    text: &str,
    consistency: u16,
) -> io::Result<Vec<Option<Vec<u8>>>> {
    let mut body = (text.len() as u32).to_be_bytes().to_vec();
    body.extend(text.as_bytes());
    body.extend(consistency.to_be_bytes());
    body.push(SKIP_METADATA);
    match exchange(stream, QUERY, &body).await? {
        (RESULT, body) => rows(&body).ok_or_else(|| unexpected(RESULT)),
        (other, _) => Err(unexpected(other)),
    }
}

/// Takes rows of one column apart.
fn rows(mut body: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let number = |body: &mut &[u8]| -> Option<u32> {
        let (bytes, rest) = body.split_first_chunk()?;
        *body = rest;
        Some(u32::from_be_bytes(*bytes))
    };
    let kind = number(&mut body)?;
    let flags = number(&mut body)?;
    let columns = number(&mut body)?;
    if kind != ROWS || flags & NO_METADATA == 0 || columns != 1 {
        return None;
    }
    let mut rows = Vec::new();
    for _ in 0..number(&mut body)? {
        let length = number(&mut body)?.cast_signed();
        let Ok(length) = usize::try_from(length) else {
            rows.push(None);
            continue;
        };
        let (value, rest) = body.split_at_checked(length)?;
        body = rest;
        rows.push(Some(value.to_vec()));
    }
    Some(rows)
}

/// Sends one frame and reads one: its operation and its body.
async fn exchange(stream: &mut TcpStream, operation: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    let mut frame = vec![REQUEST, 0, 0, 0, operation];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame).await?;
    let version = stream.read_u8().await?;
    let mut flags_and_stream = [0; 3];
    stream.read_exact(&mut flags_and_stream).await?;
    let operation = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    if version != RESPONSE || length > BODY_MAX_BYTES {
        return Err(unexpected(operation));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    Ok((operation, body))
}

fn unexpected(operation: u8) -> io::Error {
    io::Error::other(format!("an answer of an unexpected kind: {operation:#04x}"))
}
