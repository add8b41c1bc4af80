//! A connection with its seat: the place that it takes at one runtime, from the moment that it is
//! dealt to its end.

use std::{
    io::{self, IoSlice},
    net,
    pin::Pin,
    task::{Context, Poll},
};

use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Counts a connection at its runtime for as long as it lives.
pub(super) struct Seat(IntGauge);

impl Seat {
    /// Takes one of those that `taken` counts.
    pub fn take(taken: &IntGauge) -> Self {
        taken.inc();
        Self(taken.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A connection that was dealt to a runtime and that this has not taken up yet.
pub(super) struct Dealt {
    socket: net::TcpStream,
    seat: Seat,
}

impl Dealt {
    /// Takes the socket away from the runtime that accepted it.
    pub fn new(stream: TcpStream, seat: Seat) -> io::Result<Self> {
        Ok(Self { socket: stream.into_std()?, seat })
    }

    /// Ties it to the runtime that this is called in.
    pub fn take_up(self) -> io::Result<Connection> {
        Ok(Connection { stream: TcpStream::from_std(self.socket)?, _seat: self.seat })
    }
}

/// A connection at the runtime that serves it.
pub(super) struct Connection {
    stream: TcpStream,
    _seat: Seat,
}

impl Connection {
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
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
        parts: &[IoSlice<'_>],
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

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
