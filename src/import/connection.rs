//! How a command that works over the HTTP API reaches it.

use std::io::Write as _;
use std::time::Duration;

use super::client::{Client, ClientError, Notice};

/// How long is tried to reach the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server, as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of the server.
    #[arg(long, env = "COUNTERFOIL_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Access token; better given by the environment, where other users of the machine do not see it.
    #[arg(long, env = "COUNTERFOIL_TOKEN", hide_env_values = true)]
    pub token: String,
}

impl Connection {
    /// A client of it.
    ///
    /// # Errors
    /// When the address or the token is of no use.
    pub fn client(&self) -> Result<Client, ClientError> {
        let notice = |text: &str| {
            // Whoever closed standard error does not want to hear of it.
            let _ = writeln!(std::io::stderr(), "{text}");
        };
        self.patient_client(PATIENCE, Box::new(notice))
    }

    /// A client that goes on trying for so long, and says by `notice` that it has to.
    ///
    /// # Errors
    /// When the address or the token is of no use.
    pub(super) fn patient_client(&self, retry_for: Duration, notice: Notice) -> Result<Client, ClientError> {
        Client::new(&self.url, &self.token, retry_for, notice)
    }
}
