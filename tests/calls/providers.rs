//! The fake providers of tests/providers, as a process of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Providers that end with the test.
pub struct Providers {
    child: Child,
    /// Where they are: `http://127.0.0.1:<port>`.
    pub base: String,
    http: reqwest::Client,
}

impl Drop for Providers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Providers {
    /// Starts them. Without Python the test is skipped, and says so; in CI it fails.
    pub fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers/serve.py");
        let started = Command::new("python3").arg("-B").arg(script).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = started else {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing");
            let _ = writeln!(std::io::stderr(), "\nSKIPPED a test of the gateway: python3 is missing\n");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = format!("http://127.0.0.1:{}", line.trim());
        // Another part of the process may have chosen already; there is one choice, and it is this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Self { child, base, http })
    }

    /// What they were asked since the beginning, or since they were told to forget.
    pub async fn requests(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/_requests", self.base)).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// What they were asked for this model.
    pub async fn asked_for(&self, model: &str) -> Vec<Value> {
        self.requests().await.into_iter().filter(|request| request["model"] == model).collect()
    }
}
