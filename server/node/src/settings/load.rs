use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml_ng::{Mapping, Value};
use zeroize::Zeroizing;

use super::nearest::nearest;
use super::{GatewayChoice, Partial, Settings};
use crate::log::LogFormat;

/// Where the settings file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/krakend/service.yml";
const PREFIX: &str = "KRAKEND_NODE_";
const JOIN_TOKEN: &str = "join_token";
/// Variables of the command line itself.
const OTHER_VARIABLES: &[&str] = &["settings"];

/// All keys of the file.
pub const KEYS: &[&str] = &[
    "seed",
    "data_dir",
    "join_token_file",
    "name",
    "gossip_listen",
    "gossip_advertise",
    "gateway",
    "krakend_bin",
    "listen",
    "config",
    "api_listen",
    "agent_check",
    "sample_period_s",
    "shutdown_grace_s",
    "retry_max_s",
    "log_format",
    "log_level",
];

/// Settings that cannot hold. The process ends with 78.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the settings file {} is wrong: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the environment variable {name} is wrong: {reason}")]
    Environment { name: String, reason: String },
    #[error("{key} is {value:?}: {reason}")]
    Value {
        key: &'static str,
        value: String,
        reason: String,
    },
}

impl Settings {
    /// Reads and merges. A file that the user named must exist; the default one may be missing.
    pub fn load(
        flags: Partial,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let from_file = read_file(file)?;
        let (from_environment, token) = read_environment(environment)?;
        let mut settings = flags.or(from_environment).or(from_file).resolve()?;
        settings.join_token = token;
        Ok(settings)
    }
}

fn read_file(named: Option<&Path>) -> Result<Partial, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Partial::default());
        }
        Err(source) => {
            let path = path.into();
            return Err(SettingsError::Unreadable { path, source });
        }
    };
    let wrong = |reason: String| SettingsError::File {
        path: path.into(),
        reason,
    };
    let value: Value = serde_yaml_ng::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if value.is_null() {
        return Ok(Partial::default());
    }
    let Some(map) = value.as_mapping() else {
        return Err(wrong("write it as `key: value` lines".into()));
    };
    for key in map.keys() {
        let name = key.as_str().unwrap_or_default();
        if name == JOIN_TOKEN {
            let advice = "a settings file is not secret enough for `join_token`: put the token into \
                 `join_token_file` or the environment";
            return Err(wrong(advice.into()));
        }
        if !KEYS.contains(&name) {
            return Err(wrong(unknown(name)));
        }
    }
    // From the text again: its errors have line and column.
    serde_yaml_ng::from_str(&text).map_err(|error| wrong(error.to_string()))
}

fn unknown(key: &str) -> String {
    match nearest(key, KEYS) {
        Some(meant) => format!("unknown key `{key}`; did you mean `{meant}`?"),
        None => format!("unknown key `{key}`; known keys: {}", KEYS.join(", ")),
    }
}

type Environment = (Partial, Option<Zeroizing<String>>);

fn read_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Environment, SettingsError> {
    let mut map = Mapping::new();
    let mut token = None;
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            continue;
        };
        if key == JOIN_TOKEN {
            token = Some(Zeroizing::new(value));
            continue;
        }
        if OTHER_VARIABLES.contains(&key.as_str()) {
            continue;
        }
        let wrong = |reason: String| SettingsError::Environment {
            name: name.clone(),
            reason,
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(wrong(unknown(&key)));
        }
        let value = match key.ends_with("_s") {
            true => serde_yaml_ng::from_str(&value).map_err(|error| wrong(error.to_string()))?,
            false => Value::String(value),
        };
        let mut alone = Mapping::new();
        alone.insert(key.clone().into(), value.clone());
        serde_yaml_ng::from_value::<Partial>(alone.into())
            .map_err(|error| wrong(error.to_string()))?;
        map.insert(key.into(), value);
    }
    // Each key was read alone, so they can be read together.
    let partial = serde_yaml_ng::from_value(map.into()).unwrap_or_default();
    Ok((partial, token))
}

impl Partial {
    fn or(self, other: Self) -> Self {
        Self {
            seed: self.seed.or(other.seed),
            data_dir: self.data_dir.or(other.data_dir),
            join_token_file: self.join_token_file.or(other.join_token_file),
            name: self.name.or(other.name),
            gossip_listen: self.gossip_listen.or(other.gossip_listen),
            gossip_advertise: self.gossip_advertise.or(other.gossip_advertise),
            gateway: self.gateway.or(other.gateway),
            krakend_bin: self.krakend_bin.or(other.krakend_bin),
            listen: self.listen.or(other.listen),
            config: self.config.or(other.config),
            api_listen: self.api_listen.or(other.api_listen),
            agent_check: self.agent_check.or(other.agent_check),
            sample_period_s: self.sample_period_s.or(other.sample_period_s),
            shutdown_grace_s: self.shutdown_grace_s.or(other.shutdown_grace_s),
            retry_max_s: self.retry_max_s.or(other.retry_max_s),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
        }
    }

    fn resolve(self) -> Result<Settings, SettingsError> {
        let seeds = self.seed.unwrap_or_default();
        for seed in &seeds {
            host_and_port("seed", seed)?;
        }
        if let Some(advertise) = &self.gossip_advertise {
            host_and_port("gossip_advertise", advertise)?;
        }
        let period = self.sample_period_s.unwrap_or(10);
        if period == 0 || 60 % period != 0 {
            return Err(SettingsError::Value {
                key: "sample_period_s",
                value: period.to_string(),
                reason: "it must divide a minute: 1, 2, 5, 10, 15, 20, 30 or 60".into(),
            });
        }
        let host = || gethostname::gethostname().to_string_lossy().into_owned();
        let path = |given: Option<PathBuf>, usual: &str| given.unwrap_or_else(|| usual.into());
        Ok(Settings {
            seeds,
            data_dir: path(self.data_dir, "/var/lib/krakend-node"),
            join_token_file: path(self.join_token_file, "/etc/krakend/join-token"),
            join_token: None,
            name: self.name.unwrap_or_else(host),
            gossip_listen: (self.gossip_listen)
                .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7000))),
            gossip_advertise: self.gossip_advertise,
            gateway: self.gateway.unwrap_or(GatewayChoice::Auto),
            krakend_bin: self.krakend_bin,
            listen: self.listen,
            config: self.config,
            api_listen: (self.api_listen).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 7080))),
            agent_check: self.agent_check,
            sample_period: Duration::from_secs(period),
            shutdown_grace: Duration::from_secs(self.shutdown_grace_s.unwrap_or(30)),
            retry_max: Duration::from_secs(self.retry_max_s.unwrap_or(5).max(1)),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
        })
    }
}

fn host_and_port(key: &'static str, value: &str) -> Result<(), SettingsError> {
    let port = value
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()));
    match port {
        Some((host, Ok(_))) if !host.is_empty() => Ok(()),
        _ => Err(SettingsError::Value {
            key,
            value: value.into(),
            reason: "write host:port, for instance 192.168.1.100:7000".into(),
        }),
    }
}
