//! How many connections there may be: of everybody together, and of one peer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// Everybody who is connected; clones share it.
#[derive(Clone)]
pub(super) struct Crowd(Arc<Shared>);

struct Shared {
    max: usize,
    max_per_peer: Option<usize>,
    /// Taken when a connection comes and when it goes, and for that long only.
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Of those of the network; never 0.
    peers: HashMap<Peer, usize>,
}

/// Who counts as one. Whoever has an address of IPv6 mostly has the whole network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Peer {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many connections as may be.
    Everybody,
    /// This peer has as many as it may have.
    Peer,
}

impl Crowd {
    pub fn new(max: usize, max_per_peer: Option<usize>) -> Self {
        Self(Arc::new(Shared { max, max_per_peer, open: Mutex::default() }))
    }

    /// A place for a connection from there; nobody is told apart who is on this machine and came
    /// by no network.
    pub fn enter(&self, from: Option<IpAddr>) -> Result<Place, Full> {
        let peer = from.map(Peer::from);
        let mut open = self.0.open.lock();
        if open.all >= self.0.max {
            return Err(Full::Everybody);
        }
        if let Some(peer) = peer {
            let has = open.peers.entry(peer).or_insert(0);
            if self.0.max_per_peer.is_some_and(|max| *has >= max) {
                return Err(Full::Peer);
            }
            *has += 1;
        }
        open.all += 1;
        Ok(Place { crowd: self.clone(), peer })
    }
}

/// The place of one connection, free again once this is dropped.
pub(super) struct Place {
    crowd: Crowd,
    peer: Option<Peer>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.0.open.lock();
        open.all -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(has) = open.peers.get_mut(&peer) {
            *has -= 1;
            if *has == 0 {
                open.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().expect("an address"))
    }

    #[test]
    fn a_peer_has_so_many_and_no_more_until_one_goes() {
        let crowd = Crowd::new(10, Some(2));
        let first = crowd.enter(from("10.0.0.1")).expect("a place");
        let _second = crowd.enter(from("::ffff:10.0.0.1")).expect("a place");
        assert_eq!(crowd.enter(from("10.0.0.1")).err(), Some(Full::Peer));
        let _other = crowd.enter(from("10.0.0.2")).expect("another peer");
        drop(first);
        assert!(crowd.enter(from("10.0.0.1")).is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_peer() {
        let crowd = Crowd::new(10, Some(1));
        let _one = crowd.enter(from("2001:db8::1")).expect("a place");
        assert_eq!(crowd.enter(from("2001:db8::ffff:2")).err(), Some(Full::Peer));
        assert!(crowd.enter(from("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn all_together_have_so_many_and_peers_that_left_are_forgotten() {
        let crowd = Crowd::new(3, None);
        let local = crowd.enter(None).expect("a place");
        let places: Vec<_> = (0..2).map(|_| crowd.enter(from("10.0.0.1")).expect("one")).collect();
        assert_eq!(crowd.enter(from("10.0.0.9")).err(), Some(Full::Everybody));
        drop((local, places));
        let open = crowd.0.open.lock();
        assert_eq!((open.all, open.peers.len()), (0, 0));
    }
}
