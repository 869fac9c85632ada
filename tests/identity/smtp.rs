//! Mail over SMTP, to a server that others wrote (aiosmtpd).

use std::path::Path;
use std::process::Command;

use identity::mail::MailError;
use identity::{Mail, Mailer};
use serde_json::Value;

use crate::mail::{Scratch, mailer, verification};
use crate::tools::{Running, python};

struct Server {
    running: Running,
    port: u16,
    scratch: Scratch,
}

impl Server {
    /// `None`, and loudly, where aiosmtpd is not installed.
    fn start(mode: &str) -> Option<Self> {
        let python = python()?;
        let scratch = Scratch::new();
        certify(&scratch.0);
        let mut running = Running::start(
            Command::new(python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity/smtp_server.py"))
                .arg(mode)
                .args([scratch.0.join("server.pem"), scratch.0.join("server.key")]),
        );
        let port = running.line().parse().unwrap();
        Some(Self { running, port, scratch })
    }

    /// A mailer that trusts the server's authority.
    fn mailer(&self, start: &str, rest: &str) -> Mailer {
        let url = format!("{start}localhost:{}{rest}", self.port);
        mailer(&url, Some(&self.scratch.0.join("authority.pem")), &self.scratch.0)
    }

    fn received(&mut self) -> Value {
        serde_json::from_str(&self.running.line()).unwrap()
    }
}

/// An authority, and a certificate of it for `localhost`.
fn certify(directory: &Path) {
    let script = r#"
        set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=A test" \
          -addext "basicConstraints=critical,CA:TRUE" -keyout authority.key -out authority.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
          -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > server.ext
        openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 \
          -extfile server.ext -out server.pem
    "#;
    let made = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_over_tls_with_credentials() {
    let ways = [
        ("smtps", "smtps://ledger:p%40ss%3Aword@", ""),
        ("starttls", "smtp://ledger:p%40ss%3Aword@", "?tls=required"),
    ];
    for (mode, start, rest) in ways {
        let Some(mut server) = Server::start(mode) else { return };
        server.mailer(start, rest).send(&verification()).await.unwrap();
        let mail = server.received();
        assert_eq!(mail["from"], "noreply@ledger.example");
        assert_eq!(mail["to"], serde_json::json!(["ada@example.com"]));
        assert_eq!(mail["encrypted"], true, "{mode}");
        assert_eq!(mail["login"], "ledger", "{mode}");
        let content = mail["content"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
        assert!(content.contains("https://ledger.example/verify?token=abc_DEF-123&x=1"), "{content}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_server_that_cannot_prove_its_name() {
    for (mode, start, rest) in [
        ("smtps", "smtps://ledger:p%40ss%3Aword@", ""),
        ("starttls", "smtp://ledger:p%40ss%3Aword@", "?tls=required"),
    ] {
        let Some(server) = Server::start(mode) else { return };
        let url = format!("{start}localhost:{}{rest}", server.port);
        let distrustful = mailer(&url, None, &server.scratch.0);
        let refused = distrustful.send(&verification()).await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{mode}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_no_mail_that_asks_for_it() {
    let Some(server) = Server::start("plain") else { return };
    let mailer = server.mailer("smtp://", "?tls=required");
    let sent = mailer.send(&verification()).await;
    assert!(matches!(sent, Err(MailError::Server(_))), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_deferred_is_sent_again() {
    let Some(mut server) = Server::start("defer") else { return };
    server.mailer("smtp://", "").send(&verification()).await.unwrap();
    assert_eq!(server.received()["to"], serde_json::json!(["ada@example.com"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_is_not_sent_again() {
    let Some(server) = Server::start("plain") else { return };
    let mail = Mail { to: "nobody@example.com".to_owned(), ..verification() };
    let refused = server.mailer("smtp://", "").send(&mail).await.unwrap_err().to_string();
    assert!(refused.contains("Nobody of that name"), "{refused}");
    assert!(!refused.contains("nobody@"), "an address is for no log: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_of_ours_is_told_without_showing_it() {
    let Some(server) = Server::start("smtps") else { return };
    let refused =
        server.mailer("smtps://ledger:sesame@", "").send(&verification()).await.unwrap_err().to_string();
    assert!(refused.contains("535") && !refused.contains("sesame"), "{refused}");
}
