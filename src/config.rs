//! Configuration in layers: embedded defaults, a file, the environment, the command line.
//!
//! The embedded defaults name every key there is, so a key that is not in them is refused, whichever layer it comes
//! from. Every error names the key and where its value came from.

mod gateway;
mod identity;
mod layers;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use domain::Network;
use serde::{Deserialize, Deserializer};

pub use gateway::{ClientGone, Gateway};
pub use identity::{Identity, Mail, Provider};
pub use layers::{ConfigError, DEFAULTS, Flags};

/// The validated configuration. The meaning and unit of every key are written in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Config {
    pub listen: SocketAddr,
    #[serde(deserialize_with = "path_if_given")]
    pub data_dir: Option<PathBuf>,
    pub database: Database,
    pub nats: Nats,
    pub journal: Journal,
    pub pipeline: Pipeline,
    pub sweep: Sweep,
    pub projections: Projections,
    pub api: Api,
    pub gateway: Gateway,
    pub identity: Identity,
    pub limits: Limits,
    pub access_log: AccessLog,
    pub mail: Mail,
    pub oidc: Vec<Provider>,
    pub auth: Auth,
    pub log: Log,
}

impl Config {
    /// Reads all layers. `flags` is the last one.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not exist, a value of the wrong form or out of range.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        layers::load(flags)
    }

    /// The data directory, given or by default.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(crate::servers::default_data_dir)
    }

    /// The file with the key that signs our tokens.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.data_dir().join("signing-key.pem")
    }
}

/// Existing or private PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Database {
    #[serde(deserialize_with = "text_if_given")]
    pub url: Option<String>,
    pub reader_connections: NonZeroU32,
    pub writer_connections: NonZeroU32,
    pub projector_connections: NonZeroU32,
}

/// Existing or private nats-server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Nats {
    #[serde(deserialize_with = "text_if_given")]
    pub url: Option<String>,
}

/// The event store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Journal {
    pub partitions: i32,
}

/// The write path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Pipeline {
    pub max_batch_events: NonZeroUsize,
    pub queue_commands: NonZeroUsize,
    pub cache_aggregates: NonZeroUsize,
    pub patience_ms: u64,
}

/// The sweeper of what is due: holds, metered calls, allowances.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Sweep {
    pub interval_ms: NonZeroU64,
}

/// The projector runtime.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Projections {
    pub batch_events: NonZeroU32,
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Api {
    pub body_limit_bytes: NonZeroUsize,
    pub bodies_bytes: NonZeroUsize,
    pub wait_ms_max: u64,
    pub request_timeout_ms: NonZeroU64,
    pub workers: usize,
    pub cors_origins: Vec<String>,
    #[serde(deserialize_with = "text_if_given")]
    pub domain: Option<String>,
    pub trusted_proxies: Vec<Network>,
    pub tls: Tls,
}

/// TLS, here or in front.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Tls {
    #[serde(deserialize_with = "path_if_given")]
    pub certificate: Option<PathBuf>,
    #[serde(deserialize_with = "path_if_given")]
    pub key: Option<PathBuf>,
    pub in_front: bool,
}

/// How often somebody may ask, and how large a request may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Limits {
    pub key_per_second: u32,
    pub key_burst: u32,
    pub user_per_second: u32,
    pub user_burst: u32,
    pub address_per_second: u32,
    pub address_burst: u32,
    pub anonymous_per_second: u32,
    pub anonymous_burst: u32,
    pub sign_in_per_minute: u32,
    pub sign_in_burst: u32,
    pub mail_per_hour: u32,
    pub mail_burst: u32,
    pub header_bytes: NonZeroUsize,
    pub query_bytes: NonZeroUsize,
}

/// Who read what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct AccessLog {
    pub enabled: bool,
    pub retention_days: NonZeroU32,
}

/// Who is believed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Auth {
    pub public_keys: Vec<PathBuf>,
    pub issuer: String,
    pub audience: String,
}

/// What the program says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, else JSON
    Auto,
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

fn text_if_given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    String::deserialize(input).map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn path_if_given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<PathBuf>, D::Error> {
    text_if_given(input).map(|text| text.map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;

    fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
        let directory =
            std::env::temp_dir().join(format!("counterfoil-config-{:?}", std::thread::current().id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("counterfoil.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let environment: Vec<(OsString, OsString)> =
            environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let result = layers::load_from(flags, &environment, &path);
        std::fs::remove_dir_all(&directory).unwrap();
        result
    }

    fn complaint(file: Option<&str>, environment: &[(&str, &str)]) -> String {
        load(file, environment, &Flags::default()).unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_defaults_are_a_valid_configuration() {
        let config = load(None, &[], &Flags::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database.url, None);
        assert_eq!(config.data_dir, None);
        assert_eq!(config.journal.partitions, 8);
    }

    #[test]
    fn later_layers_win_over_earlier_ones() {
        let file = "listen = \"127.0.0.1:1\"\n[nats]\nurl = \"nats://file\"\n[sweep]\ninterval_ms = 7\n";
        let environment = [("COUNTERFOIL_LISTEN", "127.0.0.1:2"), ("NATS_URL", "nats://environment")];
        let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };

        let from_file = load(Some(file), &[], &Flags::default()).unwrap();
        assert_eq!(from_file.listen.port(), 1);
        let from_environment = load(Some(file), &environment, &Flags::default()).unwrap();
        assert_eq!(from_environment.listen.port(), 2);
        let from_flags = load(Some(file), &environment, &flags).unwrap();
        assert_eq!(from_flags.listen.port(), 3);
        assert_eq!(from_flags.nats.url.as_deref(), Some("nats://environment"));
        assert_eq!(from_flags.sweep.interval_ms.get(), 7);
    }

    #[test]
    fn two_underscores_reach_into_a_table() {
        let config =
            load(None, &[("COUNTERFOIL_PIPELINE__QUEUE_COMMANDS", "17")], &Flags::default()).unwrap();
        assert_eq!(config.pipeline.queue_commands.get(), 17);
    }

    #[test]
    fn a_text_that_looks_like_a_number_stays_a_text() {
        let config = load(None, &[("COUNTERFOIL_AUTH__ISSUER", "42")], &Flags::default()).unwrap();
        assert_eq!(config.auth.issuer, "42");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_source() {
        let said = complaint(Some("[journal]\npartition = 4\n"), &[]);
        assert!(said.contains("`journal.partition`"), "{said}");
        assert!(said.contains("counterfoil.toml"), "{said}");
        assert!(said.contains("journal.partitions"), "{said}");
        let said = complaint(None, &[("COUNTERFOIL_LISTENN", "x")]);
        assert!(said.contains("`listenn`") && said.contains("COUNTERFOIL_LISTENN"), "{said}");
    }

    #[test]
    fn a_value_of_the_wrong_form_is_refused_with_key_and_source() {
        let cases = [
            ("COUNTERFOIL_LISTEN", "nowhere", "`listen`"),
            ("COUNTERFOIL_SWEEP__INTERVAL_MS", "soon", "`sweep.interval_ms`"),
            ("COUNTERFOIL_SWEEP__INTERVAL_MS", "0", "`sweep.interval_ms`"),
            ("COUNTERFOIL_JOURNAL__PARTITIONS", "0", "`journal.partitions`"),
            ("COUNTERFOIL_JOURNAL__PARTITIONS", "1025", "`journal.partitions`"),
            ("COUNTERFOIL_JOURNAL", "8", "`journal`"),
            ("COUNTERFOIL_LOG__FORMAT", "prose", "`log.format`"),
            ("COUNTERFOIL_LOG__FILTER", "counterfoil=shouting", "`log.filter`"),
            ("COUNTERFOIL_AUTH__AUDIENCE", "", "`auth.audience`"),
            ("COUNTERFOIL_API__WAIT_MS_MAX", "30001", "`api.wait_ms_max`"),
        ];
        for (variable, value, key) in cases {
            let said = complaint(None, &[(variable, value)]);
            assert!(said.contains(key) && said.contains(variable), "{variable}={value}: {said}");
        }
    }

    #[test]
    fn a_broken_file_is_refused_with_its_name_and_line() {
        let said = complaint(Some("listen = \n"), &[]);
        assert!(said.contains("counterfoil.toml") && said.contains("line 1"), "{said}");
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let flags =
            Flags { config: Some(Path::new("/nonexistent/counterfoil.toml").to_owned()), ..Flags::default() };
        let said = load(None, &[], &flags).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/counterfoil.toml"), "{said}");
    }
}
