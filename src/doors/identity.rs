//! Names in certificates, as strings: a SPIFFE id, or the name of a host.

use std::fmt;

/// How a name begins in the callers file that is a host's.
const DNS: &str = "dns:";
/// How a SPIFFE id begins.
const SPIFFE: &str = "spiffe://";
/// Bytes of either at most: what DNS and SPIFFE allow.
const DNS_BYTES_MAX: usize = 253;
const SPIFFE_BYTES_MAX: usize = 2_048;
/// Names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// A name by which a certificate can vouch for its owner, spelled in one way only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerName(String);

impl PeerName {
    /// The name of a host. It stands for itself only: names with a `*` are none.
    pub fn dns(name: &str) -> Option<Self> {
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            let ends = [bytes.first(), bytes.last()];
            (1..=63).contains(&label.len())
                && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !ends.contains(&Some(&b'-'))
        };
        let is_name = name.len() <= DNS_BYTES_MAX && name.split('.').all(is_label);
        is_name.then(|| Self(format!("{DNS}{}", name.to_ascii_lowercase())))
    }

    /// A SPIFFE id of a workload: `spiffe://TRUST-DOMAIN/PATH`. It is compared byte by byte.
    pub fn spiffe(id: &str) -> Option<Self> {
        let (domain, path) = id.strip_prefix(SPIFFE)?.split_once('/')?;
        let is_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
        let is_segment = |segment: &str| {
            let is_part = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_part)
        };
        let is_id = id.len() <= SPIFFE_BYTES_MAX
            && (1..=255).contains(&domain.len())
            && domain.bytes().all(is_domain)
            && path.split('/').all(is_segment);
        is_id.then(|| Self(id.to_owned()))
    }

    /// As the callers file spells it: `dns:NAME`, or a SPIFFE id.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(DNS).map_or_else(|| Self::spiffe(text), Self::dns)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a peer is by the certificate that it has shown, once that is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    names: Vec<PeerName>,
}

impl PeerIdentity {
    /// The peer with these subject alternative names: its URIs, and its names of hosts. Of the URIs
    /// only SPIFFE ids count. What is none that a caller can have is left out, and so is everything
    /// after the first 64.
    pub fn new<'a>(
        uris: impl IntoIterator<Item = &'a str>,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let uris = uris.into_iter().filter_map(PeerName::spiffe);
        let hosts = hosts.into_iter().filter_map(PeerName::dns);
        Self { names: uris.chain(hosts).take(NAMES_MAX).collect() }
    }

    /// SPIFFE ids first.
    pub fn names(&self) -> impl Iterator<Item = &PeerName> {
        self.names.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_are_taken_in_small_letters() {
        let name = PeerName::parse("dns:Gateway-1.chat_x.internal").expect("it is one");
        assert_eq!(name.to_string(), "dns:gateway-1.chat_x.internal");
        let long = format!("dns:{}", "a".repeat(64));
        let longer = format!("dns:{}a", "a.".repeat(127));
        for wrong in [
            "dns:",
            "dns:a..b",
            "dns:.a",
            "dns:a.",
            "dns:*.chat.internal",
            "dns:-a",
            "dns:a-.b",
            "dns:a b",
            "dns:ä",
            "gateway.internal",
            &long,
            &longer,
        ] {
            assert_eq!(PeerName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn spiffe_ids_are_those_of_workloads() {
        let id = "spiffe://chat.prod/ns/Chat_1/sa/gate-way.v2";
        assert_eq!(PeerName::parse(id).expect("it is one").to_string(), id);
        let long = format!("spiffe://chat/{}", "a".repeat(SPIFFE_BYTES_MAX));
        for wrong in [
            "spiffe://",
            "spiffe://chat",
            "spiffe://chat/",
            "spiffe:///ns",
            "spiffe://chat/ns/",
            "spiffe://chat//ns",
            "spiffe://chat/../ns",
            "spiffe://Chat/ns",
            "spiffe://chat:80/ns",
            "spiffe://chat/ns?x=1",
            "spiffe://chat/ns#x",
            "SPIFFE://chat/ns",
            "https://chat/ns",
            &long,
        ] {
            assert_eq!(PeerName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn of_a_certificate_count_the_names_that_a_caller_can_have() {
        let uris = ["https://chat/ns", "spiffe://chat/ns"];
        let peer = PeerIdentity::new(uris, ["*.internal", "Gateway.internal"]);
        let names: Vec<_> = peer.names().map(PeerName::to_string).collect();
        assert_eq!(names, ["spiffe://chat/ns", "dns:gateway.internal"]);
        let many: Vec<_> = (0..1_000).map(|number| format!("host-{number}")).collect();
        let peer = PeerIdentity::new([], many.iter().map(String::as_str));
        assert_eq!(peer.names().count(), NAMES_MAX);
    }
}
