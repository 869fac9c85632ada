//! Addresses on the web. What is kept has its outer form by the domain; here it is read as a client would read it, so that
//! what could never be reached is not taken.

use domain::WebAddress;
use url::Url;

use super::{Checked, Wrong};
use crate::problem::{Code, code};

impl Checked for WebAddress {
    const CODE: Code = code::INVALID_WEB_ADDRESS;
    const EXPECTED: &'static str = "a web address is a text, such as \"https://example.org/logo.svg\"";

    fn check(text: &str) -> Result<Self, Wrong> {
        read(text).map(|(address, _)| address)
    }
}

/// The address behind which a provider has its operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseAddress(pub WebAddress);

impl Checked for BaseAddress {
    const CODE: Code = code::INVALID_WEB_ADDRESS;
    const EXPECTED: &'static str = "a base address is a text, such as \"https://api.openai.com/v1\"";

    fn check(text: &str) -> Result<Self, Wrong> {
        let (address, url) = read(text)?;
        // A path is put behind it.
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Wrong::new(Self::CODE, "a base address has neither a query nor a fragment"));
        }
        Ok(Self(address))
    }
}

fn read(text: &str) -> Result<(WebAddress, Url), Wrong> {
    let wrong = |detail: String| Wrong::new(code::INVALID_WEB_ADDRESS, detail);
    let address = WebAddress::new(text).map_err(|error| wrong(error.to_string()))?;
    let url = Url::parse(text).map_err(|error| wrong(format!("the address cannot be read: {error}")))?;
    if url.port() == Some(0) {
        return Err(wrong("nobody listens on port 0".to_owned()));
    }
    Ok((address, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_client_could_read_is_refused() {
        for good in [
            "https://example.org",
            "http://127.0.0.1:65535/v1",
            "http://[::1]:8080/v1/",
            "http://localhost:11434",
            "https://xn--bcher-kva.example/a/b",
        ] {
            assert!(BaseAddress::check(good).is_ok() && WebAddress::check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://127.0.0.1:99999",
            "http://127.0.0.1:0",
            "http://127.0.0.1:port",
            "https://[zz",
            "https://[::1",
            "https://[::1]x",
            "https://1.2.3.4.5",
            "https://999.1.1.1",
            "https://%zz",
            "https://xn--a",
            "ftp://a",
            "https://u:p@a",
        ] {
            assert!(WebAddress::check(bad).is_err(), "{bad}");
            let wrong = BaseAddress::check(bad).unwrap_err();
            assert!(wrong.to_string().starts_with("invalid_web_address: "), "{bad}: {wrong}");
        }
    }

    #[test]
    fn a_base_has_nothing_behind_its_path() {
        for bad in ["https://a/v1?key=x", "https://a/v1#x", "https://a?"] {
            assert!(BaseAddress::check(bad).is_err(), "{bad}");
            assert!(WebAddress::check(bad).is_ok(), "{bad}");
        }
    }
}
