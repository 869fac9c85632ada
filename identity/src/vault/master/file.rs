//! A file of master keys: only its owner may read it, and it is whole at any time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::{MOST_BYTES, beside, highest, line};

/// What the file says.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read it; `chmod 600` it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes the file with a first key. If somebody else is faster, theirs counts.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let _lock = lock(path)?;
    if path.exists() { Ok(()) } else { replace(path, &line(1)?) }
}

/// Adds a key of the next version; says which.
pub(super) fn add(path: &Path) -> io::Result<i32> {
    let _lock = lock(path)?;
    let mut text = read(path)?;
    let version =
        highest(&text)?.checked_add(1).ok_or_else(|| io::Error::other("there is no next version"))?;
    let more = line(version)?;
    let room = Zeroizing::new(String::with_capacity(text.len() + 1 + more.len()));
    let before = std::mem::replace(&mut text, room);
    text.push_str(&before);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&more);
    replace(path, &text)?;
    Ok(version)
}

/// Holds everybody else off until it is dropped.
fn lock(path: &Path) -> io::Result<File> {
    let lock = beside(path, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
    file.lock()?;
    Ok(file)
}

/// Writes the file whole or not at all. The caller holds the lock.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = beside(path, ".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
