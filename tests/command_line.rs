//! Commands as processes of their own, over the HTTP API beside the running server or on the database itself: what they do,
//! what they say where something is wrong, and their exit status.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

#[path = "command_line/alone.rs"]
mod alone;
#[path = "command_line/backtest.rs"]
mod backtest;
#[path = "command_line/importers.rs"]
mod importers;
#[path = "command_line/prices.rs"]
mod prices;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/http.rs"]
mod server;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use counterfoil::system::SystemIds;
use domain::Ids as _;
use server::Server;

/// What came of a command.
#[derive(Debug)]
struct Done {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).expect("output is text"),
            err: String::from_utf8(output.stderr).expect("errors are text"),
        }
    }

    /// It went well and said this.
    fn assert_said(&self, expected: &str) {
        assert_eq!(self.status, Some(0), "{self:?}");
        assert!(self.out.contains(expected), "{expected}: {self:?}");
    }

    /// It failed with this status, and each of these stands in what it said; nothing was printed as a result.
    fn assert_failed(&self, status: i32, said: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        for word in said {
            assert!(self.err.contains(word), "{word}: {self:?}");
        }
        assert!(self.out.is_empty(), "{self:?}");
    }
}

/// A file that goes when the test does.
struct TextFile(PathBuf);

impl TextFile {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("counterfoil-text-{}", SystemIds.next().simple()));
        std::fs::write(&path, text).expect("a temporary file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the program as somebody, against the server at `url`. No token at all where it is empty.
async fn run(url: &str, token: &str, arguments: &[&str]) -> Done {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    command
        .args(arguments)
        .env("COUNTERFOIL_URL", url)
        .env("COUNTERFOIL_LOG__FILTER", "error")
        .env_remove("COUNTERFOIL_TOKEN")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !token.is_empty() {
        command.env("COUNTERFOIL_TOKEN", token);
    }
    Done::of(command.output().await.expect("the counterfoil binary starts"))
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

/// What every such command says to who has no token, a wrong one, or no server.
async fn assert_tells_who_cannot_be_served(server: &Server, arguments: &[&str], viewer_may: bool) {
    run(server.base(), "", arguments).await.assert_failed(2, &["--token"]);
    run(server.base(), "forged", arguments).await.assert_failed(
        1,
        &["does not accept the token", "token_malformed", "COUNTERFOIL_TOKEN", "counterfoil token"],
    );
    run(server.base(), &server.expired_token("acme"), arguments).await.assert_failed(1, &["token_expired"]);
    let viewer = run(server.base(), &server.token("acme", "viewer"), arguments).await;
    if viewer_may {
        assert_eq!(viewer.status, Some(0), "{viewer:?}");
    } else {
        viewer.assert_failed(1, &["does not accept the token", "forbidden", "viewer"]);
    }
    let nowhere = nowhere();
    run(&nowhere, "any", arguments).await.assert_failed(1, &[&nowhere, "gave no usable answer", "--url"]);
    run("ftp://a", "any", arguments).await.assert_failed(1, &["--url", "ftp://a"]);
}
