//! How the layers are read, put over each other, and checked.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use domain::DomainName;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use identity::vault::MasterSource;

use super::{Config, LogFormat};

/// The first layer.
pub const DEFAULTS: &str = include_str!("default.toml");

const PREFIX: &str = "COUNTERFOIL_";
/// Variables with our prefix that are options of single commands and not keys.
const NOT_KEYS: [&str; 3] = ["COUNTERFOIL_CONFIG", "COUNTERFOIL_TOKEN", "COUNTERFOIL_URL"];

/// The last layer: what was given on the command line.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the key of the same name")]
pub struct Flags {
    /// The file that makes the second layer.
    pub config: Option<PathBuf>,
    pub listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub database_url: Option<String>,
    pub nats_url: Option<String>,
    pub log_format: Option<LogFormat>,
}

/// What is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML.
    #[error("configuration file {}: {reason}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no such key.
    #[error("configuration: there is no key `{key}` (from {origin}); the keys there are: {siblings}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it came from.
        origin: String,
        /// The keys that could stand in its place.
        siblings: String,
    },
    /// The value does not fit.
    #[error("configuration: `{key}`: {reason} (from {origin})")]
    Value {
        /// The key.
        key: String,
        /// Where the value came from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A layer that knows what to call itself.
struct Layer {
    name: String,
    data: Dict,
}

impl Layer {
    /// A layer of one key.
    fn single(name: String, key: &str, value: Value) -> Self {
        Self { name, data: figment::util::nest(key, value).into_dict().unwrap_or_default() }
    }

    fn toml(name: String, text: &str) -> Result<Self, String> {
        let data = Toml::from_str::<Dict>(text).map_err(|error| error.to_string())?;
        Ok(Self { name, data })
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.data.clone()))
    }
}

/// Reads all layers and checks the outcome.
pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    load_from(flags, &environment, Path::new("counterfoil.toml"))
}

/// As [`load`], in the given environment and with the given file if the flags name none.
pub(super) fn load_from(
    flags: &Flags,
    environment: &[(OsString, OsString)],
    usual_file: &Path,
) -> Result<Config, ConfigError> {
    let built_in = PathBuf::from("built in");
    let defaults = Layer::toml("the built-in defaults".to_owned(), DEFAULTS)
        .map_err(|reason| ConfigError::File { file: built_in, reason })?;
    let keys = defaults.data.clone();
    let mut layers = vec![defaults];
    let named = flags.config.clone().or_else(|| {
        let found =
            environment.iter().find(|(name, value)| name == "COUNTERFOIL_CONFIG" && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    });
    if let Some(file) = named.or_else(|| usual_file.is_file().then(|| usual_file.to_owned())) {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        let layer = text.and_then(|text| Layer::toml(format!("file {}", file.display()), &text));
        layers.push(layer.map_err(|reason| ConfigError::File { file, reason })?);
    }
    layers.extend(environment.iter().filter_map(|(name, value)| from_variable(name.to_str()?, value, &keys)));
    layers.extend(from_flags(flags));
    for layer in &layers {
        check_keys(&layer.data, &keys, "", &layer.name)?;
    }
    let figment = layers.into_iter().fold(Figment::new(), Figment::merge);
    let config: Config = figment.extract().map_err(|error| ConfigError::Value {
        key: error.path.join("."),
        origin: origin(&figment, &error.path.join(".")),
        reason: error.kind.to_string(),
    })?;
    check_values(&config, &figment)?;
    Ok(config)
}

/// The layer of one environment variable, if it is one of ours.
fn from_variable(name: &str, value: &OsString, keys: &Dict) -> Option<Layer> {
    let key = match name {
        "DATABASE_URL" => "database.url".to_owned(),
        "NATS_URL" => "nats.url".to_owned(),
        _ if NOT_KEYS.contains(&name) => return None,
        _ => name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", "."),
    };
    let text = value.to_string_lossy().into_owned();
    // A text stays a text even if it looks like a number.
    let is_text = key
        .split('.')
        .try_fold(Value::from(keys.clone()), |at, part| at.into_dict()?.remove(part))
        .is_some_and(|known| known.as_str().is_some());
    let value = if is_text {
        Value::from(text)
    } else {
        text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {})
    };
    Some(Layer::single(format!("environment variable {name}"), &key, value))
}

fn from_flags(flags: &Flags) -> impl Iterator<Item = Layer> {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let format = |format: LogFormat| match format {
        LogFormat::Auto => "auto".to_owned(),
        LogFormat::Text => "text".to_owned(),
        LogFormat::Json => "json".to_owned(),
    };
    let given = [
        ("--listen", "listen", flags.listen.clone()),
        ("--data-dir", "data_dir", flags.data_dir.as_ref().map(path)),
        ("--database-url", "database.url", flags.database_url.clone()),
        ("--nats-url", "nats.url", flags.nats_url.clone()),
        ("--log-format", "log.format", flags.log_format.map(format)),
    ];
    given.into_iter().filter_map(|(flag, key, value)| {
        Some(Layer::single(format!("option {flag}"), key, Value::from(value?)))
    })
}

/// Refuses keys that the defaults do not have.
fn check_keys(given: &Dict, known: &Dict, above: &str, origin: &str) -> Result<(), ConfigError> {
    for (name, value) in given {
        let key = format!("{above}{name}");
        match (known.get(name), value) {
            (None, _) => {
                let siblings: Vec<String> = known.keys().map(|name| format!("{above}{name}")).collect();
                return Err(ConfigError::UnknownKey {
                    key,
                    origin: origin.to_owned(),
                    siblings: siblings.join(", "),
                });
            }
            (Some(Value::Dict(_, known)), Value::Dict(_, given)) => {
                check_keys(given, known, &format!("{key}."), origin)?;
            }
            (Some(Value::Dict(..)), _) => {
                let reason = "is a table, not a value".to_owned();
                return Err(ConfigError::Value { key, origin: origin.to_owned(), reason });
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

/// Refuses values that have the right form and make no sense.
fn check_values(config: &Config, figment: &Figment) -> Result<(), ConfigError> {
    let refuse = |key: &str, reason: String| {
        Err(ConfigError::Value { key: key.to_owned(), origin: origin(figment, key), reason })
    };
    let bytes = |number: std::num::NonZeroUsize| u64::try_from(number.get()).unwrap_or(u64::MAX);
    let (bodies, body_limit_bytes) = (config.api.bodies_bytes, bytes(config.api.body_limit_bytes));
    let max_batch = config.pipeline.max_batch_events.get();
    let ranges: [(&str, u64, RangeInclusive<u64>); 10] = [
        ("journal.partitions", u64::try_from(config.journal.partitions).unwrap_or(0), 1..=1024),
        ("database.reader_connections", config.database.reader_connections.get().into(), 1..=10_000),
        ("database.writer_connections", config.database.writer_connections.get().into(), 2..=10_000),
        ("database.projector_connections", config.database.projector_connections.get().into(), 1..=10_000),
        ("pipeline.max_batch_events", u64::try_from(max_batch).unwrap_or(u64::MAX), 1..=50_000),
        ("projections.batch_events", config.projections.batch_events.get().into(), 1..=50_000),
        ("api.body_limit_bytes", body_limit_bytes, 1_024..=256 * 1_024 * 1_024),
        ("api.bodies_bytes", bytes(bodies), body_limit_bytes..=1 << 40),
        ("gateway.body_limit_bytes", bytes(config.gateway.body_limit_bytes), 1_024..=bytes(bodies)),
        ("api.wait_ms_max", config.api.wait_ms_max, 0..=config.api.request_timeout_ms.get()),
    ];
    for (key, value, range) in ranges {
        if !range.contains(&value) {
            return refuse(key, format!("must be between {} and {}", range.start(), range.end()));
        }
    }
    for (key, value) in [("auth.issuer", &config.auth.issuer), ("auth.audience", &config.auth.audience)] {
        if value.is_empty() {
            return refuse(key, "must not be empty".to_owned());
        }
    }
    if config.identity.master_key.as_deref().is_some_and(|text| MasterSource::parse(text).is_none()) {
        return refuse(
            "identity.master_key",
            "must be file:<path>, env:<name> or command:<command line>".to_owned(),
        );
    }
    check_walls(config, &refuse)?;
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&config.log.filter) {
        return refuse("log.filter", error.to_string());
    }
    Ok(())
}

/// Refuses walls that would not stand.
fn check_walls(
    config: &Config,
    refuse: &dyn Fn(&str, String) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let limits = &config.limits;
    let paces = [
        ("limits.key_burst", limits.key_per_second, limits.key_burst),
        ("limits.user_burst", limits.user_per_second, limits.user_burst),
        ("limits.address_burst", limits.address_per_second, limits.address_burst),
        ("limits.anonymous_burst", limits.anonymous_per_second, limits.anonymous_burst),
        ("limits.sign_in_burst", limits.sign_in_per_minute, limits.sign_in_burst),
        ("limits.mail_burst", limits.mail_per_hour, limits.mail_burst),
    ];
    for (key, rate, burst) in paces {
        if (rate == 0) != (burst == 0) {
            return refuse(key, "the rate and the burst are both 0, or neither of them is".to_owned());
        }
    }
    // The server itself takes no more than this.
    for (key, bytes) in
        [("limits.header_bytes", limits.header_bytes), ("limits.query_bytes", limits.query_bytes)]
    {
        if !(1_024..=65_536).contains(&bytes.get()) {
            return refuse(key, "must be between 1024 and 65536".to_owned());
        }
    }
    if !(1..=3_660).contains(&config.access_log.retention_days.get()) {
        return refuse("access_log.retention_days", "must be between 1 and 3660".to_owned());
    }
    let api = &config.api;
    for origin in &api.cors_origins {
        let site = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain = |site: &str| !site.is_empty() && !site.contains(['/', '*', '?', '#', '@', ' ']);
        if !site.is_some_and(plain) || *origin != origin.to_ascii_lowercase() {
            let reason = format!("{origin:?} is not a site such as \"https://app.example.com\"");
            return refuse("api.cors_origins", reason);
        }
    }
    if let Some(Err(error)) = api.domain.as_deref().map(DomainName::new) {
        return refuse("api.domain", error.to_string());
    }
    if api.tls.certificate.is_some() != api.tls.key.is_some() {
        return refuse("api.tls.key", "a certificate needs its key, and a key its certificate".to_owned());
    }
    Ok(())
}

/// Where the value of `key` came from.
fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| "an unknown source".to_owned(), |found| found.name.to_string())
}
