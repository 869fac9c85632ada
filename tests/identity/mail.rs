use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use counterfoil::system::{SystemClock, SystemIds};
use domain::Ids as _;
use identity::mail::{Letter, LinkLetter, MailError, MailOptions};
use identity::{Mail, Mailer};

/// A directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("counterfoil-mail-{}", SystemIds.next().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn mailer(smtp_url: &str, authority: Option<&Path>, directory: &Path) -> Mailer {
    let options = MailOptions {
        smtp_url: smtp_url.to_owned(),
        smtp_authority: authority.map(Path::to_owned),
        from: "Counterfoil <noreply@ledger.example>".to_owned(),
        directory: directory.to_owned(),
    };
    Mailer::open(&options, Arc::new(SystemClock), Arc::new(SystemIds)).unwrap()
}

pub fn verification() -> Mail {
    let link = "https://ledger.example/verify?token=abc_DEF-123&x=1";
    Letter::VerifyEmail(LinkLetter { to: "ada@example.com", link, hours: 24 }).mail()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn without_a_mail_server_mails_are_files_that_nobody_else_can_read() {
    let scratch = Scratch::new();
    let directory = scratch.0.join("mail");
    let mailer = mailer("", None, &directory);
    mailer.send(&verification()).await.unwrap();
    mailer.send(&Letter::PasswordChanged { to: "bob@example.com" }.mail()).await.unwrap();
    let files = files(&directory);
    assert_eq!(files.len(), 2, "{files:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&files[0]), mode(&files[1])), (0o700, 0o600, 0o600));
    let (first, second) =
        (std::fs::read_to_string(&files[0]).unwrap(), std::fs::read_to_string(&files[1]).unwrap());
    assert!(
        first.contains("To: ada@example.com") && second.contains("To: bob@example.com"),
        "in their order"
    );
    for header in
        ["From: Counterfoil <noreply@ledger.example>", "Subject: Confirm your", "Date: ", "Message-ID: <"]
    {
        assert!(first.contains(header), "{header} in {first}");
    }
    assert!(first.contains("multipart/alternative"), "{first}");
}

#[tokio::test]
async fn nobody_writes_headers_by_an_address_or_a_subject() {
    let scratch = Scratch::new();
    let mailer = mailer("", None, &scratch.0);
    let good = verification();
    for to in ["", "ada", "ada@example.com\r\nBcc: eve@example.com", "ada@example.com, eve@example.com"] {
        let refused = mailer.send(&Mail { to: to.to_owned(), ..good.clone() }).await;
        assert!(matches!(refused, Err(MailError::Message(_))), "{to:?}: {refused:?}");
    }
    let subject = "Hello\r\nBcc: eve@example.com".to_owned();
    let refused = mailer.send(&Mail { subject, ..good.clone() }).await;
    assert!(matches!(refused, Err(MailError::Message(_))), "{refused:?}");
    assert_eq!(files(&scratch.0), Vec::<PathBuf>::new());
    // In the text it is text.
    mailer
        .send(&Mail { text: "Hello\r\nBcc: eve@example.com".to_owned(), html: None, ..good })
        .await
        .unwrap();
    let file = std::fs::read_to_string(&files(&scratch.0)[0]).unwrap();
    let (headers, body) = file.split_once("\r\n\r\n").unwrap();
    assert!(!headers.contains("Bcc") && body.contains("Bcc"), "{file}");
}

#[test]
fn a_sender_that_is_none_is_refused_at_the_start() {
    let options = MailOptions {
        smtp_url: String::new(),
        smtp_authority: None,
        from: "nobody".to_owned(),
        directory: std::env::temp_dir(),
    };
    let opened = Mailer::open(&options, Arc::new(SystemClock), Arc::new(SystemIds));
    assert!(matches!(opened, Err(MailError::Setup(_))), "{opened:?}");
}
