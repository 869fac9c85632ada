//! The files of the repository, as the rules see them.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file: its path from the repository's root, with `/`, and its content.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// A made-up file, for proving that a rule catches something.
    pub fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The first part of the path: the room, or the file itself when it lies at the root.
    pub fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Whether the whole file is test code: below a `tests` directory, or a module named `tests`.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

/// The repository's root: the directory of the root package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository, sorted by path. Directories with a leading dot are left out, except
/// `.ci`, and so is everything that git does not keep.
pub fn files() -> Vec<File> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let path = path.strip_prefix(root()).ok()?.to_str()?.replace('\\', "/");
            Some(File { path, text })
        })
        .collect()
}

/// Every Rust source file of the repository.
pub fn rust_files() -> Vec<File> {
    files().into_iter().filter(File::is_rust).collect()
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("the repository's directories are readable");
    for entry in entries {
        let entry = entry.expect("the repository's directories are readable");
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().expect("the repository's files are readable");
        if kind.is_dir() {
            if name != "target" && (!name.starts_with('.') || name == ".ci") {
                collect(&entry.path(), into);
            }
        } else if kind.is_file() {
            into.push(entry.path());
        }
    }
}

#[test]
fn the_tree_is_seen_with_the_rules_own_source() {
    let files = files();
    for expected in ["Cargo.toml", "tests/house_rules.rs", "tests/house_rules/tree.rs", "domain/src/lib.rs"] {
        assert!(files.iter().any(|file| file.path == expected), "{expected} was not found");
    }
    assert!(!files.iter().any(|file| file.path.starts_with("target/")));
}
