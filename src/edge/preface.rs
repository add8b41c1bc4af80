//! The first bytes of a connection: those of HTTP/2, or it is not served.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::socket::Io;

/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a browser or curl is told.
const NOT_HERE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 58\r\n\r\n\
    This is a gRPC port, HTTP/2 only. Metrics: the admin port\n";

/// A connection whose first bytes were read and are read once more.
pub(super) struct Prefaced {
    stream: Box<dyn Io>,
    /// How many of the preface's bytes were given out.
    given: usize,
}

/// Reads the preface.
///
/// # Errors
/// Where the peer sends anything else, or ends.
pub(super) async fn read(mut stream: Box<dyn Io>) -> io::Result<Prefaced> {
    let mut bytes = [0; PREFACE.len()];
    let mut read = 0;
    while read < bytes.len() {
        let more = stream.read(&mut bytes[read..]).await?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read += more;
        // At the first byte that is another: nothing is waited for in vain.
        if bytes[..read] != PREFACE[..read] {
            if is_request(&bytes[..read]) {
                stream.write_all(NOT_HERE).await?;
                stream.shutdown().await?;
            }
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP/2"));
        }
    }
    Ok(Prefaced { stream, given: 0 })
}

/// Whether it looks like the beginning of a request of HTTP/1.
fn is_request(bytes: &[u8]) -> bool {
    [&b"GET "[..], b"POST", b"HEAD", b"PUT ", b"OPTI"].iter().any(|verb| bytes.starts_with(verb))
}

impl Prefaced {
    fn stream(&mut self) -> Pin<&mut Box<dyn Io>> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Prefaced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &PREFACE[self.given..];
        if left.is_empty() {
            return self.stream().poll_read(context, buffer);
        }
        let given = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..given]);
        self.given += given;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefaced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn the_preface_is_read_again_and_so_is_what_follows() {
        let (mut peer, stream) = duplex(64);
        peer.write_all(PREFACE).await.expect("room");
        peer.write_all(b"frames").await.expect("room");
        let mut prefaced = read(Box::new(stream)).await.expect("it speaks HTTP/2");
        let mut seen = [0; PREFACE.len() + 6];
        prefaced.read_exact(&mut seen).await.expect("all of it");
        assert_eq!(&seen[..PREFACE.len()], PREFACE);
        assert_eq!(&seen[PREFACE.len()..], b"frames");
    }

    #[tokio::test]
    async fn who_speaks_http_1_is_told_and_others_are_not() {
        let (mut peer, stream) = duplex(1024);
        peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
        assert!(read(Box::new(stream)).await.is_err());
        let mut told = Vec::new();
        peer.read_to_end(&mut told).await.expect("an end");
        let (head, body) = NOT_HERE.split_at(NOT_HERE.len() - 58);
        assert!(head.ends_with(b"content-length: 58\r\n\r\n"));
        assert_eq!((told.as_slice(), body.last()), (NOT_HERE, Some(&b'\n')));

        let (mut peer, stream) = duplex(1024);
        peer.write_all(&[0x16, 3, 1]).await.expect("room");
        assert!(read(Box::new(stream)).await.is_err());
        let mut told = Vec::new();
        peer.read_to_end(&mut told).await.expect("an end");
        assert_eq!(told, b"");
    }

    #[tokio::test]
    async fn who_ends_early_is_not_served() {
        let (mut peer, stream) = duplex(64);
        peer.write_all(&PREFACE[..10]).await.expect("room");
        drop(peer);
        let error = read(Box::new(stream)).await.err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::UnexpectedEof));
    }
}
