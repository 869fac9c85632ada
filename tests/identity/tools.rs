//! Servers that others wrote, run by the test as children. `scripts/test-tools` installs them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Where `scripts/test-tools` puts them.
fn tools() -> PathBuf {
    // Beside the profile's directory that this very program lies in.
    let program = PathBuf::from(env!("CARGO_BIN_EXE_counterfoil"));
    program.ancestors().nth(2).unwrap().join("tools")
}

/// The Python with the packages.
pub fn python() -> Option<PathBuf> {
    found(tools().join("python/bin/python"))
}

/// The module of the package `oidc-provider` of npm.
pub fn oidc_provider() -> Option<PathBuf> {
    found(tools().join("node_modules/oidc-provider/lib/index.js"))
}

/// Node, which needs no package for what is written for it here.
pub fn node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join("node")).find(|node| node.exists());
    found.or_else(|| self::found("node".into()))
}

/// Says loudly that a test is skipped; where everything has to be there, it fails instead.
fn found(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let advice = format!("{} is missing: run scripts/test-tools", path.display());
    assert!(std::env::var_os("CI").is_none(), "{advice}");
    // Past the test runner, which shows what a passing test prints to nobody.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED a test of module {}: {advice}\n", module_path!());
    None
}

/// A child that ends with the test.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        // Its standard input is ours: it ends when that does, however we end.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the child ended; its complaint is above");
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
