//! The fake providers of tests/providers, as a process of their own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::skipped;

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
            let advice = "the gateway is not called: python3 is missing, `make test-packages` installs it";
            assert!(std::env::var_os("CI").is_none(), "{advice}");
            skipped(advice);
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the providers did not start, see above: Python 3.10 or later is needed");
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
