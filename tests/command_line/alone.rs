//! Commands that work on the database itself: what they do where there is no ledger or no database, and their statuses.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::Done;
use crate::server::Server;
use crate::support::{Database, private_nats};

/// A directory that goes when the test does.
struct Directory(PathBuf);

impl Directory {
    /// A name that is not taken.
    fn absent() -> Self {
        Self(std::env::temp_dir().join(format!("counterfoil-alone-{}", SystemIds.next().simple())))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with nothing but these arguments.
fn command(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    for variable in ["DATABASE_URL", "NATS_URL", "COUNTERFOIL_DATA_DIR"] {
        command.env_remove(variable);
    }
    command.args(arguments).env("COUNTERFOIL_LOG__FILTER", "error");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn alone(arguments: &[&str]) -> Done {
    Done::of(command(arguments).output().await.expect("the counterfoil binary starts"))
}

/// Every command that needs a ledger, and its status where there is none.
fn commands(users: &str) -> Vec<(Vec<&str>, i32)> {
    let root = "root@example.com";
    vec![
        (vec!["journal", "verify"], 2),
        (vec!["projections", "status"], 1),
        (vec!["projections", "rebuild", "balances"], 1),
        (vec!["keys", "list"], 1),
        (vec!["keys", "rotate"], 1),
        (vec!["keys", "retire", "1"], 1),
        (vec!["keys", "signing-rotate"], 1),
        (vec!["users", "import", users], 1),
        (vec!["admin", "create", "--email", root], 1),
        (vec!["admin", "revoke", "--email", root], 1),
    ]
}

/// A file of no users that is read before anything is reached.
fn users(directory: &Path) -> String {
    let file = directory.join("users.csv");
    std::fs::create_dir_all(directory).expect("a temporary directory");
    std::fs::write(&file, "email,name,password_hash\na@example.com,Ada,none\n").expect("a temporary file");
    file.to_str().expect("the path is text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_ledger_makes_none_where_there_is_no_directory() {
    let (absent, files) = (Directory::absent(), Directory::absent());
    for (arguments, status) in commands(&users(&files.0)) {
        let done = alone(&[&arguments[..], &["--data-dir", absent.as_str()]].concat()).await;
        done.assert_failed(status, &["there is no ledger in", absent.as_str(), "--data-dir"]);
        assert!(!absent.0.exists(), "{arguments:?} made the directory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_ledger_makes_none_in_a_directory_that_has_only_a_key() {
    let (directory, files) = (Directory::absent(), Directory::absent());
    let data_dir = ["--data-dir", directory.as_str()];
    // Before the first start a token can be had.
    let token = alone(&[&["token", "--tenant", "demo", "--role", "admin"], &data_dir[..]].concat()).await;
    assert_eq!(token.status, Some(0), "{token:?}");
    for (arguments, status) in commands(&users(&files.0)) {
        let done = alone(&[&arguments[..], &data_dir].concat()).await;
        done.assert_failed(status, &["there is no ledger in", directory.as_str()]);
        let there: Vec<_> =
            std::fs::read_dir(&directory.0).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(there, ["signing-key.pem"], "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_ledger_makes_none_in_an_empty_database() {
    let (directory, files) = (Directory::absent(), Directory::absent());
    let database = Database::empty().await;
    let nats = tokio::task::block_in_place(private_nats).nats_url();
    let given = ["--database-url", database.url(), "--nats-url", &nats, "--data-dir", directory.as_str()];
    for (arguments, status) in commands(&users(&files.0)) {
        let done = alone(&[&arguments[..], &given].concat()).await;
        done.assert_failed(status, &["there is no ledger in the database at", "--database-url"]);
        assert!(!directory.0.exists(), "{arguments:?} made the directory");
    }
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let made: Option<String> = sqlx::query_scalar("SELECT to_regnamespace('journal')::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(made, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_elsewhere_gets_no_nats_server_and_no_master_key_of_this_directory() {
    let (directory, files) = (Directory::absent(), Directory::absent());
    let database = Database::fresh().await;
    let given = ["--database-url", database.url(), "--data-dir", directory.as_str()];
    let file = users(&files.0);
    for arguments in [&["users", "import", &file][..], &["admin", "create", "--email", "root@example.com"]] {
        alone(&[arguments, &given].concat())
            .await
            .assert_failed(1, &["nats-server is missing", "--nats-url"]);
    }
    let nats = tokio::task::block_in_place(private_nats).nats_url();
    let given = [&given[..], &["--nats-url", &nats]].concat();
    for (arguments, _) in commands(&file)
        .into_iter()
        .filter(|(one, _)| matches!(one[..], ["keys" | "users", ..] | ["admin", "revoke", ..]))
    {
        let done = alone(&[&arguments[..], &given].concat()).await;
        done.assert_failed(1, &["there is no master key in", directory.as_str(), "--data-dir"]);
    }
    assert!(!directory.0.exists());
    // What looks at the journal alone needs neither.
    alone(&[&["journal", "verify"], &given[..]].concat()).await.assert_said("verified: 0 events");
    alone(&[&["projections", "status"], &given[..]].concat()).await.assert_said("executions");
    assert!(!directory.0.exists());
}

/// The port of nobody, with a password that must not be told.
const REFUSED: &str = "postgres://ledger:swordfish@127.0.0.1:1/ledger";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_told_with_its_place_and_the_cause() {
    let (directory, files) = (Directory::absent(), Directory::absent());
    let nats = tokio::task::block_in_place(private_nats).nats_url();
    let given = ["--nats-url", &nats, "--data-dir", directory.as_str(), "--listen", "127.0.0.1:0"];
    let more = [(vec!["serve"], 1), (vec!["up"], 1), (vec!["migrate"], 1)];
    for (arguments, status) in commands(&users(&files.0)).into_iter().chain(more) {
        let done = alone(&[&arguments[..], &given, &["--database-url", REFUSED]].concat()).await;
        done.assert_failed(status, &["cannot connect to PostgreSQL at 127.0.0.1:1", "Connection refused"]);
        assert!(!done.err.contains("pool") && !done.err.contains("swordfish"), "{done:?}");
    }
    let verify = |url: String| async move { alone(&["journal", "verify", "--database-url", &url]).await };
    let unknown = verify("postgres://ledger:swordfish@no-such-host.invalid:5433/ledger".to_owned()).await;
    unknown.assert_failed(2, &["no-such-host.invalid:5433", "lookup"]);
    let database = Database::empty().await;
    let missing = database.url().replace("/test_", "/no_such_");
    verify(missing).await.assert_failed(2, &["cannot connect", "no_such_", "does not exist"]);
    let none = verify("postgres://a:swordfish@b:c/d".to_owned()).await;
    none.assert_failed(2, &["the address of the database"]);
    assert!(!none.err.contains("swordfish") && !unknown.err.contains("swordfish"), "{none:?} {unknown:?}");
}

/// Keeps whoever verifies waiting, until it is dropped.
async fn in_the_way(server: &Server) -> PgConnection {
    let mut connection = PgConnection::connect(server.database.url()).await.unwrap();
    connection.execute("BEGIN; LOCK TABLE views.executions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    connection
}

/// The backend of a verification that waits.
async fn waiting(server: &Server) -> i32 {
    let mut connection = PgConnection::connect(server.database.url()).await.unwrap();
    for _ in 0..600 {
        // The projector of the running server may wait for the same table.
        let found: Option<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%REPEATABLE READ; LOCK TABLE%'",
        )
        .fetch_optional(&mut connection)
        .await
        .unwrap();
        if let Some(pid) = found {
            return pid;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nobody verifies")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_difference_has_the_status_of_one() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let posting = serde_json::json!({"from": "@world", "to": "till", "amount": "5", "asset": "USD"});
    let made = owner
        .made("/v1/transactions", serde_json::json!({"postings": [posting], "open_wallets": true}))
        .await;
    owner.after(&made, "/v1/wallets").await;
    let verify = ["journal", "verify", "--database-url", server.database.url()];
    alone(&verify).await.assert_said("verified: ");

    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let lock = in_the_way(&server).await;
        let verifying = command(&verify).spawn().unwrap();
        waiting(&server).await;
        kill(Pid::from_raw(verifying.id().unwrap().cast_signed()), signal).unwrap();
        Done::of(verifying.wait_with_output().await.unwrap()).assert_failed(130, &["interrupted"]);
        drop(lock);
    }
    let mut lock = in_the_way(&server).await;
    let verifying = command(&verify).spawn().unwrap();
    let backend = waiting(&server).await;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(backend).execute(&mut lock).await.unwrap();
    Done::of(verifying.wait_with_output().await.unwrap()).assert_failed(3, &["error"]);
    drop(lock);

    let unusable = command(&verify).env("COUNTERFOIL_SWEEP__INTERVAL_MS", "soon").output().await.unwrap();
    Done::of(unusable).assert_failed(2, &["sweep.interval_ms"]);
    alone(&["journal", "verify", "--data-dirr", "x"]).await.assert_failed(2, &["--data-dirr"]);

    let mut connection = PgConnection::connect(server.database.url()).await.unwrap();
    connection.execute("UPDATE views.balances SET posted = posted + 1 WHERE path = 'till'").await.unwrap();
    let differs = alone(&verify).await;
    assert_eq!((differs.status, differs.err.as_str()), (Some(1), ""), "{differs:?}");
    assert!(differs.out.starts_with("NOT verified: "), "{differs:?}");
}
