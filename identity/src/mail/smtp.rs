//! SMTP by lettre, over rustls with ring.

use std::path::Path;
use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use reqwest::Url;

use super::MailError;
use crate::chain::with_sources;

/// For each command of the dialogue.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);
/// For the whole dialogue.
const DIALOGUE_TIMEOUT: Duration = Duration::from_secs(40);

/// A mail server.
#[derive(Debug)]
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// The address without credentials.
    address: String,
}

/// Why the server did not take a mail.
pub(super) struct Refused {
    pub(super) reason: String,
    /// Whether another attempt may do better.
    pub(super) passing: bool,
}

impl Smtp {
    pub(super) fn open(url: &str, authority: Option<&Path>) -> Result<Self, MailError> {
        // The address carries a password: no message shows it.
        let failed = |what: &str| MailError::Setup(format!("mail.smtp_url: {what}"));
        let parsed = Url::parse(url).map_err(|error| failed(&error.to_string()))?;
        let host = parsed.host_str().ok_or_else(|| failed("it names no host"))?.to_owned();
        let tls = parsed.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let wrapped = match (parsed.scheme(), tls.as_deref()) {
            ("smtps", None) => Some(Tls::Wrapper as fn(TlsParameters) -> Tls),
            ("smtp", Some("required")) => Some(Tls::Required as fn(TlsParameters) -> Tls),
            ("smtp", None) if is_this_machine(&host) => None,
            ("smtp", None) => {
                return Err(failed(
                    "without TLS only this machine is written to; use smtps:// or ?tls=required",
                ));
            }
            _ => return Err(failed("use smtps://host or smtp://host?tls=required")),
        };
        if parsed.username().is_empty() != parsed.password().is_none() {
            return Err(failed("give a user and a password, or neither"));
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| failed(&error.to_string()))?
            .timeout(Some(COMMAND_TIMEOUT));
        if let Some(wrapped) = wrapped {
            builder = builder.tls(wrapped(trusting(host.clone(), authority)?));
        }
        let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
        let address = format!("{}://{host}{port}", parsed.scheme());
        Ok(Self { transport: builder.build(), address })
    }

    pub(super) fn describe(&self) -> String {
        self.address.clone()
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Refused> {
        let formatted = message.formatted();
        let sending = self.transport.send_raw(message.envelope(), &formatted);
        match tokio::time::timeout(DIALOGUE_TIMEOUT, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Refused {
                passing: !error.is_permanent() && !error.is_client() && !is_distrust(&error),
                reason: with_sources(&error),
            }),
            Err(_) => Err(Refused { reason: "no answer in time".to_owned(), passing: true }),
        }
    }
}

/// TLS to `host`, with the certificates of the file trusted besides the system's.
fn trusting(host: String, authority: Option<&Path>) -> Result<TlsParameters, MailError> {
    let failed = |what: &dyn std::fmt::Display| MailError::Setup(format!("TLS to the mail server: {what}"));
    let mut builder = TlsParameters::builder(host);
    if let Some(path) = authority {
        let pem = std::fs::read(path).map_err(|error| failed(&format!("{}: {error}", path.display())))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| failed(&error))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| failed(&error))
}

/// Whether TLS failed: a certificate does not become a better one within a minute.
fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it was made of from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_in_the_clear_but_to_this_machine() {
        for good in [
            "smtps://mail.example.com",
            "smtps://user:p%40ss@mail.example.com:465",
            "smtp://mail.example.com:25?tls=required",
            "smtp://localhost:2525",
            "smtp://127.0.0.1:2525",
            "smtp://[::1]:2525",
        ] {
            Smtp::open(good, None).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "smtp://mail.example.com",
            "smtp://127.0.0.1.example.com",
            "smtp://mail.example.com?tls=opportunistic",
            "smtps://mail.example.com?tls=none",
            "http://mail.example.com",
            "smtps://user@mail.example.com",
            "mail.example.com",
            "",
        ] {
            assert!(matches!(Smtp::open(bad, None), Err(MailError::Setup(_))), "{bad}");
        }
    }

    #[test]
    fn the_password_is_in_no_message() {
        let smtp = Smtp::open("smtps://user:hunter2@mail.example.com", None).unwrap();
        assert_eq!(smtp.describe(), "smtps://mail.example.com");
        let refused = Smtp::open("smtp://user:hunter2@mail.example.com", None).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
