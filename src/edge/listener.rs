//! A place where connections are accepted, of the network or in the file system.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::{fs::FileTypeExt as _, net::UnixStream as Probe},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;
use crate::config::ListenAddress;

/// Listens for as long as it lives.
pub struct Listener(Kind);

enum Kind {
    Tcp(TcpListener),
    /// The file goes before the socket: whoever listens there next has a file of its own.
    Unix(SocketFile, UnixListener),
}

/// The file of a socket, removed with its listener: nobody answers there any more.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

impl Listener {
    /// Listens there. What a process that was killed has left of a socket in the file system is
    /// replaced.
    ///
    /// # Errors
    /// Where the system refuses, or another process listens there.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => Ok(Self(Kind::Tcp(TcpListener::bind(address).await?))),
            ListenAddress::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                Ok(Self(Kind::Unix(SocketFile(path.clone()), listener)))
            }
        }
    }

    /// Where it listens, with the port that was picked.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            Kind::Unix(file, _) => Ok(ListenAddress::Unix(file.0.clone())),
        }
    }

    /// The next connection, and where it comes from if that is the network. May be dropped at any
    /// time.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((Socket::of_network(stream)?, Some(from.ip())))
            }
            Kind::Unix(_, listener) => Ok((Socket::of_machine(listener.accept().await?.0)?, None)),
        }
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name"));
    }
    match Probe::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_left_of_a_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("grpc.sock");
        let address = ListenAddress::Unix(path.clone());
        // As kill -9 leaves it.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("it is free"));
        let listener = Listener::bind(&address).await.expect("nobody listens there");
        let _peer = Probe::connect(&path).expect("it listens");
        assert_eq!(listener.accept().await.expect("a connection").1, None);
        let second = Listener::bind(&address).await.err().map(|error| error.kind());
        assert_eq!(second, Some(io::ErrorKind::AddrInUse));
        drop(listener);
        assert!(!path.exists());
        fs::write(&path, "a file").expect("it is written");
        let refused = Listener::bind(&address).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).expect("it is there"), b"a file");
    }
}
