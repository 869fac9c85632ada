//! Names of the outer world: domains, addresses, networks, colours.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::name::name;

name! {
    /// A domain of the tenant's own.
    DomainName, "domain",
    |text| text.len() <= 253
        && text.split('.').count() >= 2
        && text.split('.').all(host_label)
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())),
    "must be a domain in lower case such as `ledger.example.org`"
}

name! {
    /// Where something is on the web.
    WebAddress, "address",
    |text| text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\`{}|^".contains(&b))
        && text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).is_some_and(|rest| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@')
        }),
    "must be a URL that begins with https:// or http://, 2048 bytes at the most, without a user or password"
}

name! {
    /// A colour, as the web writes it.
    Colour, "colour",
    |text| text.strip_prefix('#').is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_hexdigit())),
    "must be `#` and six hexadecimal digits"
}

fn host_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A range of addresses, or a single one: `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in it. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4()
            && masked(address, self.prefix) == masked(self.base, self.prefix)
    }
}

/// The first `prefix` bits of an address, the others zero.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let free = width.saturating_sub(u32::from(prefix));
    // A shift by all 128 bits has no result: nothing of the address is left.
    bits.checked_shr(free).and_then(|kept| kept.checked_shl(free)).unwrap_or_default()
}

impl FromStr for Network {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = NameError {
            what: "network",
            rule: "must be an address such as `192.0.2.7`, or a range such as `192.0.2.0/24`",
        };
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let base: IpAddr = address.parse().map_err(|_| error.clone())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= width).ok_or_else(|| error.clone())?
            }
            Some(_) => return Err(error),
        };
        // A base with bits behind its prefix is a mistake of whoever wrote it, and so is IPv4 in IPv6 clothes.
        if masked(base, prefix) != masked(base, width) || base.to_canonical() != base {
            return Err(error);
        }
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.base.is_ipv4() { 32 } else { 128 };
        if self.prefix == width {
            write!(f, "{}", self.base)
        } else {
            write!(f, "{}/{}", self.base, self.prefix)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_host_name_and_no_address() {
        for good in ["example.org", "ledger.acme-2.example", "xn--bcher-kva.example"] {
            assert!(DomainName::new(good).is_ok(), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in [
            "localhost",
            "Example.org",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a-.b",
            "127.0.0.1",
            "a.b:80",
            "a/b.c",
            &long,
        ] {
            assert!(DomainName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_web_address_names_a_host_and_carries_no_password() {
        for good in ["https://example.org", "http://127.0.0.1:8080/realm?x=1#y", "https://a/@b"] {
            assert!(WebAddress::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https:///x",
            "javascript:alert(1)",
            "data:,x",
            "ftp://a",
            "https://u:p@a",
            "https://a b",
            "https://a\"b",
            "https://a\r\nb",
            "//a",
        ] {
            assert!(WebAddress::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert!(Colour::new("#00aAff").is_ok());
        for bad in ["", "#", "00aaff", "#00aaf", "#00aafg", "red", "#00aaff;"] {
            assert!(Colour::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let inside = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("192.0.2.0/24", "192.0.2.255"));
        assert!(inside("192.0.2.0/24", "::ffff:192.0.2.255"));
        assert!(!inside("192.0.2.0/24", "192.0.3.0"));
        assert!(inside("192.0.2.7", "192.0.2.7"));
        assert!(!inside("192.0.2.7", "192.0.2.6"));
        assert!(inside("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!inside("2001:db8::/32", "2001:db9::"));
        assert!(inside("0.0.0.0/0", "203.0.113.1") && !inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("::/0", "2001:db8::1") && !inside("::/0", "203.0.113.1"));
    }

    #[test]
    fn a_network_is_written_as_it_was_read() {
        for text in ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::/0", "::1"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "::ffff:192.0.2.7",
            "a",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
