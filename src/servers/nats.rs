//! The private nats-server with JetStream.
//!
//! It listens on the loopback address and asks for a password that is kept in the data directory. Its port is chosen
//! once and kept: clients find it again after a restart. Cost of a start: about 50 ms.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use async_nats::ConnectErrorKind;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::directory::DataDir;
use super::launcher::Launcher;
use super::supervise::{Lifeless, Service, Supervised};
use super::{Error, Running, left_over, programs, secret};

const NAME: &str = "nats-server";
const USER: &str = "counterfoil";

/// An orderly stop; then by force.
const MEANS: &[(Signal, Duration)] =
    &[(Signal::SIGTERM, Duration::from_secs(5)), (Signal::SIGKILL, Duration::from_secs(2))];

/// What is generated once per data directory.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    port: u16,
    password: String,
}

/// Starts the server.
pub async fn start(
    directory: &DataDir,
    launcher: &Launcher,
    interrupt: &CancellationToken,
) -> Result<Running, Error> {
    directory.account().can_enter(directory.path()).await?;
    let program = programs::nats_server()?;
    let store = directory.private("nats")?;
    let config = directory.path().join("nats.conf");
    if let Some(pid) = left_over::read_pid(&store.join("nats.pid")) {
        left_over::stop(pid, NAME, NAME, &config, MEANS).await?;
    }
    let identity = identity(directory)?;
    directory.write("nats.conf", &configuration(&identity))?;
    let url = format!("nats://{USER}:{}@127.0.0.1:{}", identity.password, identity.port);
    let account = directory.account().clone();
    let service = Service {
        name: NAME,
        command: Box::new(move || {
            let mut command = Command::new(&program);
            command.arg("--config").arg(&config).current_dir(&store);
            account.apply(&mut command);
            command
        }),
        log: directory.log("nats.log")?,
        means: MEANS,
        // After its disk was full, nats-server 2.9 runs on with a JetStream, or a stream, that answers nobody.
        pulse: Some(Box::new({
            let url = url.clone();
            move || {
                let url = url.clone();
                Box::pin(async move { probe(&url).await })
            }
        })),
    };
    let process =
        Supervised::start(service, launcher.clone()).ready(interrupt, async || probe(&url).await).await?;
    Ok(Running { url, process })
}

/// The port and password of this directory. A port that another program took meanwhile is replaced.
fn identity(directory: &DataDir) -> Result<Identity, Error> {
    let path = directory.path().join("nats.json");
    let known = read_identity(&path);
    if let Some(known) =
        known.as_ref().filter(|known| TcpListener::bind((Ipv4Addr::LOCALHOST, known.port)).is_ok())
    {
        return Ok(Identity { port: known.port, password: known.password.clone() });
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let port = free.map_err(|source| Error::Io { what: "find a free port".to_owned(), source })?.port();
    let password = match known {
        Some(known) => known.password,
        None => secret::random_hex()?,
    };
    let identity = Identity { port, password };
    let text = serde_json::to_string(&identity)
        .map_err(|error| Error::io("write", &path)(std::io::Error::other(error)))?;
    directory.write("nats.json", &text)?;
    Ok(identity)
}

/// An unreadable file is as good as none: nothing but this run depends on it.
fn read_identity(path: &Path) -> Option<Identity> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Paths are relative to the store, in which the server runs.
fn configuration(identity: &Identity) -> String {
    let Identity { port, password } = identity;
    format!(
        r#"# Written anew at every start.
server_name: counterfoil
listen: "127.0.0.1:{port}"
pid_file: "nats.pid"
max_payload: 8MB
# The disk is the limit. Without this the server takes what is free at its start for all that there will ever be.
jetstream {{ store_dir: ".", max_file_store: 1TB }}
authorization {{ user: "{USER}", password: "{password}" }}
"#
    )
}

/// Connects to a nats-server. User and password, or a token alone, may stand in the address
/// (`nats://user:password@host`); async-nats reads them only from its options.
///
/// # Errors
/// The address is malformed, or the server cannot be reached or refuses the credentials.
pub async fn connect(
    url: &str,
    options: async_nats::ConnectOptions,
) -> Result<async_nats::Client, async_nats::ConnectError> {
    let address: async_nats::ServerAddr = url
        .parse()
        .map_err(|error| async_nats::ConnectError::with_source(ConnectErrorKind::ServerParse, error))?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        (Some(token), None) => options.token(token.to_owned()),
        (None, _) => options,
    };
    options.connect(address).await
}

/// Whether the server answers, knows our password, and has JetStream with streams that answer.
async fn probe(url: &str) -> Result<(), Lifeless> {
    let options = async_nats::ConnectOptions::new().connection_timeout(Duration::from_secs(2));
    let client = connect(url, options).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Io => Lifeless::Closed(error.to_string()),
        _ => Lifeless::Deaf(error.to_string()),
    })?;
    // Describing its streams takes the locks under which they are written. Read as text: the typed form of this answer
    // wants fields that servers of the 2.9 line do not send.
    let answer = client.request("$JS.API.STREAM.LIST", Vec::new().into()).await;
    let answer = answer.map_err(|error| Lifeless::Deaf(error.to_string()))?;
    let answer: serde_json::Value =
        serde_json::from_slice(&answer.payload).map_err(|error| Lifeless::Deaf(error.to_string()))?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(Lifeless::Deaf(format!("JetStream is not ready: {error}"))),
    }
}
