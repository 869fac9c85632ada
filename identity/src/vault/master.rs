//! Master keys: where they come from, and their versions.
//!
//! A source gives lines `<version>:<base64 of 32 bytes>`; blank lines and lines that begin with `#` are left out, and a
//! comma is as good as a line's end. The highest version wraps; all of them unwrap. The keys are never in the database.

mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::VaultError;
use super::seal::Key;

/// The most bytes that a source may give.
const MOST_BYTES: u64 = 64 * 1024;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where master keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterSource {
    /// A file that nobody else may read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// What a command of the shell prints, so that a vault or a key service can stand behind it.
    Command(String),
}

impl MasterSource {
    /// Reads `file:<path>`, `env:<name>` or `command:<command line>`; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let rest = Some(rest.trim()).filter(|rest| !rest.is_empty() && !rest.contains('\0'))?;
        match kind {
            "file" => Some(Self::File(rest.into())),
            "env" => Some(Self::Env(rest.to_owned())).filter(|_| !rest.contains('=')),
            "command" => Some(Self::Command(rest.to_owned())),
            _ => None,
        }
    }

    /// Makes the file with a first key, if this is a file that is not there. Says whether it did.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn make_if_missing(&self) -> Result<bool, VaultError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                self.blocking(
                    move || if path.exists() { Ok(false) } else { file::create(&path).map(|()| true) },
                )
                .await
            }
            Self::Env(_) | Self::Command(_) => Ok(false),
        }
    }

    /// Adds a new key of the next version to the file. `None` where the keys are kept by somebody else.
    pub(super) async fn add_version(&self) -> Result<Option<i32>, VaultError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                self.blocking(move || file::add(&path)).await.map(Some)
            }
            Self::Env(_) | Self::Command(_) => Ok(None),
        }
    }

    async fn text(&self) -> Result<Zeroizing<String>, VaultError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                self.blocking(move || file::read(&path)).await
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => Ok(Zeroizing::new(text)),
                Err(error) => Err(self.failed(error)),
            },
            Self::Command(line) => match tokio::time::timeout(PATIENCE, output(line)).await {
                Ok(text) => text.map_err(|error| self.failed(error)),
                Err(_) => Err(self.failed(format!("no end after {} s", PATIENCE.as_secs()))),
            },
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, VaultError> {
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| self.failed(error))?;
        done.map_err(|error| self.failed(error))
    }

    fn failed(&self, reason: impl fmt::Display) -> VaultError {
        VaultError::Source { origin: self.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Display for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            // A command line may hold a secret of its own.
            Self::Command(_) => f.write_str("the configured command"),
        }
    }
}

/// What the command prints. Its complaints go where ours go.
async fn output(line: &str) -> io::Result<Zeroizing<String>> {
    let mut child = tokio::process::Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut text = Zeroizing::new(String::new());
    if let Some(out) = child.stdout.take() {
        out.take(MOST_BYTES + 1).read_to_string(&mut text).await?;
    }
    let too_long = u64::try_from(text.len()).is_ok_and(|length| length > MOST_BYTES);
    if too_long {
        return Err(io::Error::other("it prints too much"));
    }
    let status = child.wait().await?;
    if status.success() { Ok(text) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// The master keys at one moment.
pub struct MasterKeys {
    source: MasterSource,
    keys: BTreeMap<i32, Arc<Key>>,
    highest: (i32, Arc<Key>),
}

impl MasterKeys {
    /// Takes the keys from their source.
    ///
    /// # Errors
    /// It cannot be read, others may read the file, or what it gives are no keys.
    pub async fn load(source: &MasterSource) -> Result<Self, VaultError> {
        let keys = parse(&source.text().await?).map_err(|reason| source.failed(reason))?;
        let highest = keys.last_key_value().map(|(version, key)| (*version, Arc::clone(key)));
        let highest = highest.ok_or_else(|| source.failed("it gives no key"))?;
        Ok(Self { source: source.clone(), keys, highest })
    }

    /// Where they came from.
    pub fn source(&self) -> &MasterSource {
        &self.source
    }

    /// The versions there are.
    pub fn versions(&self) -> impl Iterator<Item = i32> {
        self.keys.keys().copied()
    }

    /// The version that wraps.
    pub fn highest(&self) -> i32 {
        self.highest.0
    }

    pub(super) fn wrapping(&self) -> &Key {
        &self.highest.1
    }

    pub(super) fn get(&self, version: i32) -> Option<&Arc<Key>> {
        self.keys.get(&version)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKeys")
            .field("source", &self.source.to_string())
            .field("versions", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

/// What shows that a key is the one its version says, and tells nothing else about it.
pub(super) fn proof(version: i32, key: &Key) -> Result<[u8; 32], VaultError> {
    key.digest(&[b"counterfoil master key", &version.to_be_bytes()])
}

/// Reads lines `<version>:<base64>`. A complaint never repeats what the line says.
fn parse(text: &str) -> Result<BTreeMap<i32, Arc<Key>>, String> {
    let mut keys = BTreeMap::new();
    for (line, number) in text.split(['\n', ',']).map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wanted = || format!("line {number} is not `<version>:<base64 of 32 bytes>`");
        let (version, key) = line.split_once(':').ok_or_else(wanted)?;
        let version = version.trim().parse().ok().filter(|version: &i32| *version > 0).ok_or_else(wanted)?;
        let bytes = Zeroizing::new(STANDARD.decode(key.trim()).map_err(|_| wanted())?);
        let key = Key::from_bytes(&bytes).ok_or_else(wanted)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(format!("line {number} is a key of zeros"));
        }
        if keys.insert(version, Arc::new(key)).is_some() {
            return Err(format!("version {version} is there twice"));
        }
    }
    Ok(keys)
}

/// A line with a new key.
fn line(version: i32) -> io::Result<Zeroizing<String>> {
    let key = Key::draw().map_err(io::Error::other)?;
    let key = Zeroizing::new(STANDARD.encode(key.bytes()));
    Ok(Zeroizing::new(format!("{version}:{}\n", key.as_str())))
}

/// The highest version in a text.
fn highest(text: &str) -> io::Result<i32> {
    let keys = parse(text).map_err(io::Error::other)?;
    Ok(keys.last_key_value().map_or(0, |(version, _)| *version))
}

/// The file beside another that is locked while the other is changed.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests;
