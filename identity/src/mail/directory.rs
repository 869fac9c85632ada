//! Mails as files, one each, readable by their owner alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use chrono::{DateTime, Utc};
use lettre::Message;
use uuid::Uuid;

use super::{Mail, MailError};
use crate::token::sha256;

/// A directory of mails: `<time>-<number>-<digest of the address>.eml`, mode 0600, in the order in which they were sent.
/// The id of what a mail is about stands before the digest.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    sent: AtomicU64,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, MailError> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), sent: AtomicU64::new(0) })
    }

    pub(super) fn describe(&self) -> String {
        format!("files in {}", self.path.display())
    }

    pub(super) async fn write(
        &self,
        message: &Message,
        mail: &Mail,
        at: DateTime<Utc>,
    ) -> Result<(), MailError> {
        let (content, digest) = (message.formatted(), digest(&mail.to));
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let about = mail.about.map(about).unwrap_or_default();
        let stem = format!("{}-{number:06}{about}-{digest}", at.format("%Y%m%dT%H%M%S%6fZ"));
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || place(&path, &stem, &content))
            .await
            .map_err(io::Error::other)??;
        Ok(())
    }

    pub(super) async fn forget(&self, address: &str) -> Result<(), MailError> {
        let end = format!("-{}", digest(address));
        self.remove(move |stem| stem.ends_with(&end)).await
    }

    pub(super) async fn forget_about(&self, what: Uuid) -> Result<(), MailError> {
        let part = format!("{}-", about(what));
        self.remove(move |stem| stem.contains(&part)).await
    }

    async fn remove(&self, which: impl Fn(&str) -> bool + Send + 'static) -> Result<(), MailError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || remove(&path, which)).await.map_err(io::Error::other)??;
        Ok(())
    }
}

/// How the name of a file says what its mail is about.
fn about(what: Uuid) -> String {
    format!("-{}", what.simple())
}

/// Removes the mails with such names, whole or not.
fn remove(directory: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if which(name) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Writes a file beside its place and moves it there when it is whole, so that a reader never sees half of one.
fn place(directory: &Path, stem: &str, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let (part, whole) = (directory.join(format!(".{stem}.part")), directory.join(format!("{stem}.eml")));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    // A link fails where the name is taken, by another program that started at the same microsecond; a rename would
    // take that one's mail away.
    let linked = fs::hard_link(&part, &whole);
    fs::remove_file(&part)?;
    linked
}

/// By which the mails of one address are found: hexadecimal, the first eight bytes of its SHA-256 in lower case.
fn digest(to: &str) -> String {
    use std::fmt::Write as _;
    let digest = sha256(to.trim().to_lowercase().as_bytes());
    digest.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_digest_however_it_is_written() {
        assert_eq!(digest(" Ada@Example.com"), digest("ada@example.com"));
        assert_ne!(digest("ada@example.com"), digest("bob@example.com"));
        assert_eq!(digest("ada@example.com").len(), 16);
    }
}
