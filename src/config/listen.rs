//! Where the gRPC port listens: addresses of the network, and sockets in the file system.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use super::value::address;

/// Marks the path of a socket in the file system.
const UNIX: &str = "unix:";
/// Addresses at most.
const ADDRESSES_MAX: usize = 16;

/// One place where connections are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address of the network; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A socket in the file system, for callers of the same machine.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some("") => Err("unix: wants the path of a socket behind it".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => address(text).map(Self::Tcp).map_err(|refusal| {
                format!("{refusal}, or unix: and a path, or several of them with commas between")
            }),
        }
    }
}

/// All places where connections are accepted: one at least, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(Vec<ListenAddress>);

impl Listen {
    /// Of places where something listens already.
    pub fn on(addresses: Vec<ListenAddress>) -> Self {
        Self(addresses)
    }

    /// In the order in which they were given.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.0
    }

    /// Those of the network.
    pub fn tcp(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        })
    }
}

impl<A: Into<SocketAddr>> From<A> for Listen {
    fn from(address: A) -> Self {
        Self(vec![ListenAddress::Tcp(address.into())])
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut addresses = Vec::new();
        for one in text.split(',') {
            let address = one.trim().parse()?;
            // Port 0 is another one each time.
            let is_any = matches!(address, ListenAddress::Tcp(address) if address.port() == 0);
            if !is_any && addresses.contains(&address) {
                return Err(format!("{address} is there twice"));
            }
            addresses.push(address);
        }
        if addresses.len() > ADDRESSES_MAX {
            return Err(format!("allowed are {ADDRESSES_MAX} addresses at most"));
        }
        Ok(Self(addresses))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, address) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            address.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_read_and_shown_as_they_were_given() {
        for text in ["127.0.0.1:50051", "unix:/run/readstates.sock", "[::1]:1,unix:./a,0.0.0.0:2"] {
            let listen: Listen = text.parse().expect(text);
            assert_eq!(listen.to_string(), text);
        }
        let listen: Listen = "127.0.0.1:0, 127.0.0.1:0".parse().expect("two free ports");
        assert_eq!(listen.tcp().count(), 2);
    }

    #[test]
    fn what_is_no_address_or_is_there_twice_is_refused() {
        for (text, words) in [
            ("", "127.0.0.1:50051"),
            ("nowhere", "127.0.0.1:50051"),
            ("127.0.0.1:1,", "127.0.0.1:50051"),
            ("unix:", "path of a socket"),
            ("127.0.0.1:1,127.0.0.1:1", "twice"),
            ("unix:a,unix:a", "twice"),
        ] {
            let refusal = text.parse::<Listen>().expect_err(text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
        let many = ["127.0.0.1:0"; ADDRESSES_MAX + 1].join(",");
        assert!(many.parse::<Listen>().is_err());
    }
}
