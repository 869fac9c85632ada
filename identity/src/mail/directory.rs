//! Mails as files, one each, readable by their owner alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use chrono::{DateTime, Utc};
use lettre::Message;

use super::MailError;
use crate::token::sha256;

/// A directory of mails: `<time>-<number>-<digest of the address>.eml`, mode 0600, in the order in which they were sent.
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
        to: &str,
        at: DateTime<Utc>,
    ) -> Result<(), MailError> {
        let (content, digest) = (message.formatted(), digest(to));
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{}-{number:06}-{digest}", at.format("%Y%m%dT%H%M%S%6fZ"));
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || place(&path, &stem, &content))
            .await
            .map_err(io::Error::other)??;
        Ok(())
    }

    pub(super) async fn forget(&self, address: &str) -> Result<(), MailError> {
        let (path, digest) = (self.path.clone(), digest(address));
        tokio::task::spawn_blocking(move || remove(&path, &digest)).await.map_err(io::Error::other)??;
        Ok(())
    }
}

/// Removes the mails of one address, whole or not.
fn remove(directory: &Path, digest: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if name.ends_with(&format!("-{digest}")) {
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
