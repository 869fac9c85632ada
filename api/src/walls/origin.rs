//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use domain::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What counts as one place: an address of version 4, or the network of 64 bits that a customer gets of version 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(IpAddr);

impl Place {
    /// The place of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        }
    }
}

/// The address of whoever asks: the peer's, or, where the peer is a proxy that is trusted, the last address that it and
/// those before it report and that is not a trusted proxy itself. What others report is not looked at.
pub fn client_address(request: &HttpRequest, trusted: &[Network]) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
    let is_proxy = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    if trusted.is_empty() || !is_proxy(&peer) {
        return peer;
    }
    // The bytes and not the text: a line is not to disappear because of what a caller put in front of a proxy's entry.
    let lines = request.headers().get_all(&FORWARDED_FOR);
    let reported: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
    let mut last = peer;
    for entry in reported.into_iter().rev() {
        // Whatever stands before what cannot be read was not written by a proxy of ours.
        let text = std::str::from_utf8(entry.trim_ascii()).ok();
        let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) else { return last };
        last = address.to_canonical();
        if !is_proxy(&last) {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    fn from(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let request = TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap());
        // Each character is a byte, as in Latin-1.
        let bytes = |line: &str| line.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>();
        let value = |line: &&str| HeaderValue::from_bytes(&bytes(line)).unwrap();
        let request = forwarded
            .iter()
            .fold(request, |request, line| request.append_header((FORWARDED_FOR, value(line))));
        client_address(&request.to_http_request(), &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_asked_whom_it_speaks_for() {
        assert_eq!(from("9.9.9.9", &["1.2.3.4"], &[]), "9.9.9.9");
        assert_eq!(from("9.9.9.9", &["1.2.3.4"], &["10.0.0.0/8"]), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn what_the_caller_wrote_in_front_of_the_proxies_is_not_believed() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], trusted), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["6.6.6.6", "1.2.3.4"], trusted), "1.2.3.4");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.2"], trusted), "10.0.0.2");
        assert_eq!(from("10.0.0.1", &["10.0.0.3"], trusted), "10.0.0.3");
        // Nor does a byte that is no text make what a proxy wrote behind it disappear.
        assert_eq!(from("10.0.0.1", &["203.0.113.9", "\u{ff}, 198.51.100.1"], trusted), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["\u{ff}, 198.51.100.1"], trusted), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["203.0.113.9, \u{ff}, 10.0.0.2"], trusted), "10.0.0.2");
        assert_eq!(from("10.0.0.1", &["203.0.113.9", "\u{ff}"], trusted), "10.0.0.1");
    }

    #[test]
    fn addresses_of_one_network_are_one_place() {
        let of = |text: &str| Place::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
    }
}
