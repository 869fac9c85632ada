//! The data directory: made, locked, and removed if it was temporary.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::{Error, Place, left_over, secret};

/// The beginning of the names of temporary directories; the pid of the maker follows.
const EPHEMERAL: &str = "counterfoil-ephemeral-";

/// Servers' logs are put aside when they have grown to this many bytes.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// The file that says where the servers are.
const ADDRESSES: &str = "addresses.json";

/// Where the servers are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// PostgreSQL, if there is one.
    pub database_url: Option<String>,
    /// The nats-server with its credentials, if there is one.
    pub nats_url: Option<String>,
}

/// The addresses of servers that another process runs on `directory`; nothing if no process does.
///
/// # Errors
/// The directory is in use but the servers are not up yet, or it cannot be read.
pub fn running(directory: &Path) -> Result<Option<Addresses>, Error> {
    if !directory.join("lock").exists() {
        return Ok(None);
    }
    match lock(directory) {
        Ok(_) => Ok(None),
        Err(in_use @ Error::InUse { .. }) => {
            let text = fs::read_to_string(directory.join(ADDRESSES)).ok();
            text.and_then(|text| serde_json::from_str(&text).ok()).map(Some).ok_or(in_use)
        }
        Err(error) => Err(error),
    }
}

/// Whether there is a PostgreSQL cluster in `directory`: a finished one, which moves there whole.
///
/// # Errors
/// The directory cannot be looked into.
pub fn has_postgres(directory: &Path) -> Result<bool, Error> {
    has(directory, "postgres")
}

/// Whether a nats-server was ever started in `directory`.
///
/// # Errors
/// The directory cannot be looked into.
pub fn has_nats(directory: &Path) -> Result<bool, Error> {
    has(directory, "nats.json")
}

fn has(directory: &Path, name: &str) -> Result<bool, Error> {
    let path = directory.join(name);
    path.try_exists().map_err(Error::io("look for", &path))
}

/// A data directory held by this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    account: Account,
    ephemeral: bool,
    /// Locked until it is closed.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and locks it.
    pub fn open(place: &Place) -> Result<Self, Error> {
        match place {
            Place::Directory(path) => {
                let account = prepare(path)?;
                Self::hold(path, account, false)
            }
            Place::Ephemeral => {
                remove_abandoned();
                let name = format!("{EPHEMERAL}{}-{}", std::process::id(), secret::random_hex()?);
                let path = std::env::temp_dir().join(name);
                let account = Account::choose(&[])?;
                make(&path, &account)?;
                Self::hold(&path, account, true)
            }
        }
    }

    fn hold(path: &Path, account: Account, ephemeral: bool) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        let lock = lock(&path)?;
        // Those of an earlier run.
        let _ = fs::remove_file(path.join(ADDRESSES));
        Ok(Self { path, account, ephemeral, _lock: lock })
    }

    /// The directory, absolute and free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user the servers run as.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether it is removed at the end.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// Makes a directory in this one that only the servers' user can enter.
    pub fn private(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        private_directory(&path, &self.account)?;
        Ok(path)
    }

    /// Writes a file in this directory, readable by the servers' user alone, whole or not at all.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let draft = self.path.join(format!("{name}.new"));
        let write = || {
            let _ = fs::remove_file(&draft);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()
        };
        write().map_err(Error::io("write", &draft))?;
        self.account.own(&draft)?;
        fs::rename(&draft, &path).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// Opens a server's log for appending; a long one is put aside first.
    pub fn log(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_LIMIT) {
            fs::rename(&path, self.path.join(format!("{name}.1"))).map_err(Error::io("put aside", &path))?;
        }
        Ok(path)
    }

    /// Tells commands that run beside this process where the servers are.
    pub fn announce(&self, addresses: &Addresses) -> Result<(), Error> {
        let text = serde_json::to_string(addresses)
            .map_err(|error| Error::io("write", &self.path)(std::io::Error::other(error)))?;
        self.write(ADDRESSES, &text).map(|_| ())
    }

    /// Gives the directory back; a temporary one is removed.
    pub fn close(self) {
        let _ = fs::remove_file(self.path.join(ADDRESSES));
        drop(self);
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.ephemeral
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(directory = %self.path.display(), %error, "the temporary directory could not be removed");
        }
    }
}

/// Makes the data directory. Its parts are private; it itself can be passed through if the servers have another user.
fn make(path: &Path, account: &Account) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    let mode = if account.is_other() { 0o711 } else { 0o700 };
    fs::create_dir(path).map_err(Error::io("create", path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("set the permissions of", path))
}

/// Makes the data directory, and chooses the user of its servers.
fn prepare(path: &Path) -> Result<Account, Error> {
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    let account = Account::choose(&[path.join("postgres"), path.join("nats")])?;
    make(&path, &account)?;
    Ok(account)
}

/// Makes the data directory for what is put there before the first start, such as the signing key.
///
/// # Errors
/// It cannot be made, or root finds no user for the servers.
pub fn make_data_dir(path: &Path) -> Result<(), Error> {
    prepare(path).map(|_| ())
}

/// Makes a directory that only `account` can enter, or checks that an existing one is such.
pub fn private_directory(path: &Path, account: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => account.own(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path).map_err(Error::io("inspect", path))?;
            let open_to_others = found.permissions().mode() & 0o077 != 0;
            if found.is_dir() && account.owns(&found) && !open_to_others {
                return Ok(());
            }
            let source =
                std::io::Error::other("it exists, but is not a directory of the servers' user alone");
            Err(Error::io("use", path)(source))
        }
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

/// Locks the directory for this process and writes down who holds it.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Error::InUse { directory: directory.to_owned(), holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(Error::io("write", &path))?;
    Ok(file)
}

/// Removes temporary directories whose makers were killed before they could. What cannot be removed belongs to
/// someone else and is left.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker =
            name.to_str().and_then(|name| name.strip_prefix(EPHEMERAL)?.split('-').next()?.parse().ok());
        if maker.is_some_and(|pid| !left_over::exists(pid)) && lock(&entry.path()).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
