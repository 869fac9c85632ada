//! What the importers have in common, and what the options of all commands do: help, signals, files that are none, times and
//! numbers below zero.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::server::{Client, Server};
use crate::{Done, TextFile, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_help_of_an_importer_has_examples_and_that_of_a_rebuild_every_read_model() {
    for importer in [["import", "llm-trace"], ["prices", "import"], ["users", "import"]] {
        let help = run("", "", &[&importer[..], &["--help"]].concat()).await;
        help.assert_said(&format!("Examples:\n  counterfoil {} ", importer.join(" ")));
    }
    let rebuild = ["projections", "rebuild"];
    let help = run("", "", &[&rebuild[..], &["--help"]].concat()).await;
    let unknown = run("", "", &[&rebuild[..], &["everything"]].concat()).await;
    for kind in projections::Kind::ALL {
        help.assert_said(kind.name());
        unknown.assert_failed(2, &["everything", kind.name()]);
    }
}

/// The arguments of an import at one row at a time.
fn importing<'a>(file: &'a str, wallet: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["import", "llm-trace", file, "--wallet", wallet, "--revenue", "@revenue"];
    arguments.extend([
        "--asset",
        "TOK",
        "--input-price",
        "0.50",
        "--output-price",
        "1.50",
        "--concurrency",
        "1",
    ]);
    arguments
}

/// Somebody whose wallets can pay for a trace.
async fn funded(server: &Server, wallets: &[&str]) -> Client {
    let owner = server.tenant("acme").await;
    owner.made("/v1/assets", json!({"code": "TOK", "scale": 9})).await;
    for wallet in wallets {
        let posting = json!({"from": "@world", "to": wallet, "amount": "1000", "asset": "TOK"});
        let body = json!({"postings": [posting], "open_wallets": true});
        let made = owner.made("/v1/transactions", body).await;
        owner.after(&made, "/v1/wallets").await;
    }
    owner
}

/// Waits until a wallet has paid for something.
async fn paid(owner: &Client, wallet: &str) {
    for _ in 0..600 {
        let balance = owner.get(&format!("/v1/wallets/{wallet}/balance")).await;
        if balance.text("/posted") != "1000.000000000" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{wallet} has paid nothing")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_its_summary_at_either_signal_and_is_continued() {
    let server = Server::start().await;
    let owner = funded(&server, &["customers:1", "customers:2"]).await;
    let mut text = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
    for row in 0..20_000 {
        writeln!(text, "2023-11-16 18:15:46,{row},1").unwrap();
    }
    let file = TextFile::new(&text);
    let few: Vec<&str> = text.lines().take(31).collect();
    let few = TextFile::new(&few.join("\n"));
    for (wallet, signal) in [("customers:1", Signal::SIGINT), ("customers:2", Signal::SIGTERM)] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        // The address comes from the environment.
        command.args(importing(file.path(), wallet)).env("COUNTERFOIL_URL", server.base());
        command.env("COUNTERFOIL_TOKEN", &owner.token).stdin(Stdio::null());
        let import =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        paid(&owner, wallet).await;
        kill(Pid::from_raw(import.id().unwrap().cast_signed()), signal).unwrap();
        let done = Done::of(import.wait_with_output().await.unwrap());
        assert_eq!(done.status, Some(130), "{signal}: {done:?}");
        assert!(done.out.contains("rows read"), "{signal}: {done:?}");
        assert!(done.out.contains("Interrupted. Run the same command again"), "{signal}: {done:?}");
        let continued = run(server.base(), &owner.token, &importing(few.path(), wallet)).await;
        assert_eq!(continued.status, Some(0), "{signal}: {continued:?}");
        assert!(!continued.out.contains("already there before: 0)"), "{signal}: {continued:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_users_that_is_none_is_told_as_such() {
    let columns = "the columns are email, name, password_hash, separated by commas";
    for (text, said) in [
        ("", vec![", line 1: there is no column `email`", columns]),
        ("email,name\na@example.com,Ada\n", vec![", line 1: there is no column `password_hash`", columns]),
        ("mail,name,password_hash\n", vec![", line 1, column `mail`: is not known", columns]),
        ("email,name,email,password_hash\n", vec![", line 1, column `email`: is there twice"]),
        ("email,name,password_hash\n\n,,\n", vec![": there is no user in it"]),
    ] {
        let file = TextFile::new(text);
        let said = [&said[..], &[file.path()]].concat();
        run("", "", &["users", "import", file.path()]).await.assert_failed(1, &said);
    }
    run("", "", &["users", "import", "/nonexistent.csv"])
        .await
        .assert_failed(1, &["/nonexistent.csv", "No such file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_named_by_their_line_and_the_others_are_imported() {
    let server = Server::start().await;
    let hash = bcrypt::hash("seven quiet badgers", 5).unwrap();
    let text = format!(
        "\u{feff}email,name,password_hash\n\nada@example.com,Ada,{hash}\nnobody,Eve,{hash}\nb@example.com,Bo\n"
    );
    let file = TextFile::new(&text);
    let done = Done::of(server.beside(&["users", "import", file.path()]).await);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.out.contains("line 4: "), "{done:?}");
    assert!(done.out.contains("line 5: it has 2 fields, and the header names 3\n"), "{done:?}");
    assert!(done.out.ends_with("1 imported, 0 known already, 2 refused\n"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_have_one_form_and_what_is_below_zero_is_told_as_such() {
    let data_dir = TextFile::new("");
    let directory = format!("{}.d", data_dir.path());
    let token = ["token", "--tenant", "demo", "--role", "admin", "--data-dir", &directory];
    for time in ["5", "90s", "5m", "2h", "1d"] {
        let made = run("", "", &[&token[..], &["--expires-in", time]].concat()).await;
        assert_eq!(made.status, Some(0), "{time}: {made:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    let form = "a time is a whole number and s, m, h or d";
    run("", "", &[&token[..], &["--expires-in", "-1h"]].concat())
        .await
        .assert_failed(2, &["--expires-in", form]);
    run("", "", &[&token[..], &["--expires-in", "0"]].concat())
        .await
        .assert_failed(2, &["a second at the least"]);
    let import = importing("/nonexistent.csv", "customers:1");
    for (option, value, said) in [
        ("--input-price", "-1", "a price is written in decimal digits"),
        ("--output-price", "-0.5", "a price is written in decimal digits"),
        ("--max-output-tokens", "-1", "invalid digit"),
        ("--concurrency", "-1", "1..=1024"),
        ("--retry-for", "-1s", form),
        ("--retry-for", "8d", "a week at the most"),
    ] {
        let mut arguments = import.clone();
        match arguments.iter().position(|argument| *argument == option) {
            Some(place) => arguments[place + 1] = value,
            None => arguments.extend([option, value]),
        }
        run("", "any", &arguments).await.assert_failed(2, &[option, value, said]);
    }
    // The form is taken: the file alone is wrong.
    for time in ["5", "5s", "2h", "7d"] {
        let arguments = [&import[..], &["--retry-for", time]].concat();
        run("http://127.0.0.1:1", "any", &arguments)
            .await
            .assert_failed(2, &["/nonexistent.csv", "No such file"]);
    }
}
