//! A connection's socket on its way from who accepted it to who serves it.

use std::{io, net, os::unix, time::Duration};

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// What bytes come in by and go out by.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A socket that no runtime has.
pub(super) enum Socket {
    /// Of the network: may be asked to be encrypted.
    Tcp(net::TcpStream),
    /// Of this machine.
    Unix(unix::net::UnixStream),
}

impl Socket {
    pub fn of_network(stream: TcpStream) -> io::Result<Self> {
        // Answers go out when they are ready, not once the peer has confirmed those before.
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream.into_std()?))
    }

    pub fn of_machine(stream: UnixStream) -> io::Result<Self> {
        Ok(Self::Unix(stream.into_std()?))
    }

    pub fn is_of_network(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Ties it to the runtime that this is called in. The system ends it where the peer has taken
    /// nothing of what was sent for so long.
    pub fn take_up(self, stall: Duration) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Tcp(stream) => {
                let stall_ms = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
                set_tcp_user_timeout(&stream, stall_ms)?;
                Box::new(TcpStream::from_std(stream)?)
            }
            Self::Unix(stream) => Box::new(UnixStream::from_std(stream)?),
        })
    }
}
