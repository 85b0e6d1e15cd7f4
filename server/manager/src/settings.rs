//! Settings: flag, then environment (`KRAKEND_CM_<KEY>`), then file. Read in this one place.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::log::LogFormat;

mod backups;
mod https;
mod influx;
mod sources;

pub use backups::BackupSettings;
pub use https::{Https, HttpsMode};
pub use influx::InfluxSettings;
use sources::{read_environment, read_file};

/// Where the settings file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/krakend/cluster-manager.yml";
/// Largest document that can be set.
const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Settings as a file, the environment or flags give them; every key may be missing.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Partial {
    /// Name for people [default: the host's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Directory of everything that must survive [default: /var/lib/krakend-cluster-manager]
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Address on which all ports listen [default: 0.0.0.0]
    #[arg(long)]
    pub listen: Option<String>,
    /// host:port of web interface and HTTP API [default: LISTEN:9897]
    #[arg(long)]
    pub listen_http: Option<String>,
    /// host:port for nodes, TCP and gossip over UDP [default: LISTEN:7000]
    #[arg(long)]
    pub listen_nodes: Option<String>,
    /// host:port for the other managers [default: LISTEN:7001]
    #[arg(long)]
    pub listen_managers: Option<String>,
    /// host:port on which balancers ask by DNS (UDP and TCP) which nodes take traffic; whoever reaches it may ask [default: none]
    #[arg(long)]
    pub listen_dns: Option<String>,
    /// Host or address under which others reach this manager [default: the host's name, or the listen address]
    #[arg(long)]
    pub advertise: Option<String>,
    /// host:port of every manager's manager port (7001), this one's included
    #[arg(long, value_delimiter = ',')]
    pub peers: Option<Vec<String>>,
    /// Managers that must be there before the group forms, once [default: 1]
    #[arg(long)]
    pub bootstrap_expect: Option<usize>,
    /// host:port of the node port (7000) of managers whose group a new manager joins, with a join token
    #[arg(long, value_delimiter = ',')]
    pub join: Option<Vec<String>>,
    /// File with a manager's join token, for `join` [default: /etc/krakend/manager-join-token]
    #[arg(long)]
    pub join_token_file: Option<PathBuf>,
    /// Seconds for which a new manager must be caught up before it has a vote [default: 10]
    #[arg(long)]
    pub promote_after_s: Option<u64>,
    /// Seconds of silence after which a dead manager is removed while three voters remain; 0: never [default: 86400]
    #[arg(long)]
    pub dead_manager_after_s: Option<u64>,
    /// File with the group secret, or with several on lines of their own, the newest first [default: DATA_DIR/group-secret]
    #[arg(long)]
    pub secret_file: Option<PathBuf>,
    /// File with the key that licences are verified with [default: one that derives from the group secret]
    #[arg(long)]
    pub license_key_file: Option<PathBuf>,
    /// off, or auto for HTTPS with a certificate that the group's authority signs [default: off]
    #[arg(long)]
    pub https: Option<HttpsMode>,
    /// File with the certificate chain for HTTPS, in PEM; read anew when it changes
    #[arg(long)]
    pub https_certificate_file: Option<PathBuf>,
    /// File with its private key
    #[arg(long)]
    pub https_key_file: Option<PathBuf>,
    /// lan (one site) or wan (several): how long managers wait for each other; the same on all [default: lan]
    #[arg(long)]
    pub timers: Option<TimersProfile>,
    /// Seconds from unreachable to down [default: 60]
    #[arg(long)]
    pub grace_s: Option<u64>,
    /// Seconds from down to removed [default: 259200]
    #[arg(long)]
    pub reap_s: Option<u64>,
    /// Seconds for which a lease is given [default: 604800]
    #[arg(long)]
    pub lease_s: Option<u64>,
    /// Seconds for which certificates are given, to managers and nodes; they are renewed after two thirds [default: 2592000]
    #[arg(long)]
    pub certificate_life_s: Option<u64>,
    /// Directory into which the leader writes backups; it must exist [default: none are written]
    #[arg(long)]
    pub backup_dir: Option<PathBuf>,
    /// Time from backup to backup, for instance 15m or 24h [default: 1h]
    #[arg(long)]
    pub backup_every: Option<String>,
    /// Backups that are kept, the newest [default: 24]
    #[arg(long)]
    pub backup_keep: Option<usize>,
    /// Largest configuration document that is taken, in bytes, at most 16 MiB [default: 16777216]
    #[arg(long)]
    pub max_document_bytes: Option<usize>,
    /// Below so many available bytes on the data directory's disk the group is read-only [default: 512 MiB, or 5 % of
    /// the disk if that is less]
    #[arg(long)]
    pub disk_reserve_bytes: Option<u64>,
    /// Room for the windows of statistics, in bytes; the oldest go above it. The leader's holds [default: 536870912]
    #[arg(long)]
    pub statistics_max_bytes: Option<u64>,
    /// http:// address that takes InfluxDB's line protocol, with its query (/api/v2/write?org=..&bucket=..) [default: none]
    #[arg(long)]
    pub influx_url: Option<String>,
    /// File with the token for `influx_url`, read at each use [default: none is sent]
    #[arg(long)]
    pub influx_token_file: Option<PathBuf>,
    /// Time between two looks for closed minutes, for instance 60s [default: 10s]
    #[arg(long)]
    pub influx_every: Option<String>,
    /// Let /metrics be read without a token [default: false]
    #[arg(long)]
    pub metrics_open: Option<bool>,
    /// text or json [default: text]
    #[arg(long)]
    pub log_format: Option<LogFormat>,
    /// error, warn, info, debug, or a list of target=level [default: info]
    #[arg(long)]
    pub log_level: Option<String>,
}

/// How far the managers are from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TimersProfile {
    #[default]
    Lan,
    Wan,
}

/// Settings that hold.
#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    pub data_dir: PathBuf,
    pub listen_http: String,
    pub listen_nodes: String,
    pub listen_managers: String,
    pub listen_dns: Option<String>,
    pub advertise: String,
    pub peers: Vec<String>,
    pub bootstrap_expect: usize,
    pub join: Vec<String>,
    pub join_token_file: PathBuf,
    pub managers: krakend_domain::ManagerSettings,
    pub secret_file: PathBuf,
    pub license_key_file: Option<PathBuf>,
    pub https: Https,
    pub timers: TimersProfile,
    pub grace_ms: u64,
    pub reap_ms: u64,
    pub lease_ms: u64,
    pub certificate_life_ms: u64,
    pub backups: Option<BackupSettings>,
    pub statistics_max_bytes: u64,
    pub influx: Option<InfluxSettings>,
    pub max_document_bytes: usize,
    pub disk_reserve_bytes: Option<u64>,
    pub metrics_open: bool,
    pub log_format: LogFormat,
    pub log_level: String,
}

/// Settings that cannot hold. The process ends with 78.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings file {path} cannot be read: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the settings file {path} is wrong: {reason}")]
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

const KEYS: &[&str] = &[
    "name",
    "data_dir",
    "listen",
    "listen_http",
    "listen_nodes",
    "listen_managers",
    "listen_dns",
    "advertise",
    "peers",
    "bootstrap_expect",
    "join",
    "join_token_file",
    "promote_after_s",
    "dead_manager_after_s",
    "secret_file",
    "license_key_file",
    "https",
    "https_certificate_file",
    "https_key_file",
    "timers",
    "grace_s",
    "reap_s",
    "lease_s",
    "certificate_life_s",
    "backup_dir",
    "backup_every",
    "backup_keep",
    "max_document_bytes",
    "disk_reserve_bytes",
    "statistics_max_bytes",
    "influx_url",
    "influx_token_file",
    "influx_every",
    "metrics_open",
    "log_format",
    "log_level",
];

impl Settings {
    /// Reads and merges. `file`: named by the user, so it must exist; otherwise the default file may be missing.
    pub fn load(
        flags: Partial,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let from_file = read_file(file)?;
        let from_environment = read_environment(environment)?;
        flags.or(from_environment).or(from_file).resolve()
    }
}

impl Partial {
    fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            data_dir: self.data_dir.or(other.data_dir),
            listen: self.listen.or(other.listen),
            listen_http: self.listen_http.or(other.listen_http),
            listen_nodes: self.listen_nodes.or(other.listen_nodes),
            listen_managers: self.listen_managers.or(other.listen_managers),
            listen_dns: self.listen_dns.or(other.listen_dns),
            advertise: self.advertise.or(other.advertise),
            peers: self.peers.or(other.peers),
            bootstrap_expect: self.bootstrap_expect.or(other.bootstrap_expect),
            join: self.join.or(other.join),
            join_token_file: self.join_token_file.or(other.join_token_file),
            promote_after_s: self.promote_after_s.or(other.promote_after_s),
            dead_manager_after_s: self.dead_manager_after_s.or(other.dead_manager_after_s),
            secret_file: self.secret_file.or(other.secret_file),
            license_key_file: self.license_key_file.or(other.license_key_file),
            https: self.https.or(other.https),
            https_certificate_file: self.https_certificate_file.or(other.https_certificate_file),
            https_key_file: self.https_key_file.or(other.https_key_file),
            timers: self.timers.or(other.timers),
            grace_s: self.grace_s.or(other.grace_s),
            reap_s: self.reap_s.or(other.reap_s),
            lease_s: self.lease_s.or(other.lease_s),
            certificate_life_s: self.certificate_life_s.or(other.certificate_life_s),
            backup_dir: self.backup_dir.or(other.backup_dir),
            backup_every: self.backup_every.or(other.backup_every),
            backup_keep: self.backup_keep.or(other.backup_keep),
            max_document_bytes: self.max_document_bytes.or(other.max_document_bytes),
            disk_reserve_bytes: self.disk_reserve_bytes.or(other.disk_reserve_bytes),
            statistics_max_bytes: self.statistics_max_bytes.or(other.statistics_max_bytes),
            influx_url: self.influx_url.or(other.influx_url),
            influx_token_file: self.influx_token_file.or(other.influx_token_file),
            influx_every: self.influx_every.or(other.influx_every),
            metrics_open: self.metrics_open.or(other.metrics_open),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
        }
    }

    fn resolve(self) -> Result<Settings, SettingsError> {
        let backups = backups::resolve(&self)?;
        let influx = influx::resolve(&self)?;
        let https = https::resolve(&self)?;
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let listen = self.listen.unwrap_or_else(|| "0.0.0.0".into());
        let port = |given: Option<String>, port: u16| given.unwrap_or(format!("{listen}:{port}"));
        let listen_http = port(self.listen_http, 9897);
        let listen_nodes = port(self.listen_nodes, 7000);
        let listen_managers = port(self.listen_managers, 7001);
        let every = ["0.0.0.0", "[::]", "::"].contains(&listen.as_str());
        let advertise = self.advertise.unwrap_or(match every {
            true => host.clone(),
            false => listen.clone(),
        });
        let data_dir = self
            .data_dir
            .unwrap_or_else(|| "/var/lib/krakend-cluster-manager".into());
        let settings = Settings {
            name: self.name.unwrap_or(host),
            listen_http: address("listen_http", listen_http)?,
            listen_nodes: address("listen_nodes", listen_nodes)?,
            listen_managers: address("listen_managers", listen_managers)?,
            listen_dns: match self.listen_dns {
                Some(listen) => Some(address("listen_dns", listen)?),
                None => None,
            },
            advertise,
            peers: self.peers.unwrap_or_default(),
            bootstrap_expect: self.bootstrap_expect.unwrap_or(1),
            join: self.join.unwrap_or_default(),
            join_token_file: self
                .join_token_file
                .unwrap_or_else(|| "/etc/krakend/manager-join-token".into()),
            managers: krakend_domain::ManagerSettings {
                promote_after_ms: self.promote_after_s.unwrap_or(10).saturating_mul(1000),
                dead_after_ms: match self.dead_manager_after_s.unwrap_or(86_400) {
                    0 => None,
                    seconds => Some(seconds.saturating_mul(1000)),
                },
                ..krakend_domain::ManagerSettings::default()
            },
            secret_file: self
                .secret_file
                .unwrap_or_else(|| data_dir.join("group-secret")),
            data_dir,
            license_key_file: self.license_key_file,
            https,
            timers: self.timers.unwrap_or_default(),
            grace_ms: self.grace_s.unwrap_or(60).saturating_mul(1000),
            reap_ms: self.reap_s.unwrap_or(259_200).saturating_mul(1000),
            lease_ms: self.lease_s.unwrap_or(604_800).saturating_mul(1000),
            certificate_life_ms: certificate_life(self.certificate_life_s)?,
            backups,
            statistics_max_bytes: self
                .statistics_max_bytes
                .unwrap_or(krakend_domain::DEFAULT_STATISTICS_BYTES)
                .max(krakend_domain::MIN_STATISTICS_BYTES),
            influx,
            max_document_bytes: self.max_document_bytes.unwrap_or(MAX_DOCUMENT_BYTES),
            disk_reserve_bytes: self.disk_reserve_bytes,
            metrics_open: self.metrics_open.unwrap_or(false),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
        };
        settings.check()
    }
}

/// Shorter lives would be renewed all the time, longer ones bound nothing.
fn certificate_life(given: Option<u64>) -> Result<u64, SettingsError> {
    match given {
        None => Ok(krakend_domain::CertificateLife::DEFAULT_MS),
        Some(seconds @ 15..=31_622_400) => Ok(seconds * 1000),
        Some(seconds) => Err(SettingsError::Value {
            key: "certificate_life_s",
            value: seconds.to_string(),
            reason: "use 15 seconds to 366 days".into(),
        }),
    }
}

impl Settings {
    fn check(self) -> Result<Self, SettingsError> {
        let expect = self.bootstrap_expect;
        let wrong = |reason: String| SettingsError::Value {
            key: "bootstrap_expect",
            value: expect.to_string(),
            reason,
        };
        if expect == 0 || expect > 9 {
            return Err(wrong("use 1 to 9, best 3 or 5".into()));
        }
        if expect > 1 && self.peers.len() != expect {
            return Err(wrong(format!(
                "`peers` must list exactly that many managers as host:7001, this one included; it lists {}",
                self.peers.len()
            )));
        }
        if !(1..=MAX_DOCUMENT_BYTES).contains(&self.max_document_bytes) {
            return Err(SettingsError::Value {
                key: "max_document_bytes",
                value: self.max_document_bytes.to_string(),
                reason: format!("use 1 to {MAX_DOCUMENT_BYTES}"),
            });
        }
        for peer in &self.peers {
            address("peers", peer.clone())?;
        }
        for manager in &self.join {
            address("join", manager.clone())?;
        }
        if !self.join.is_empty() && !self.peers.is_empty() {
            return Err(SettingsError::Value {
                key: "join",
                value: self.join.join(","),
                reason: "use either `join` (a group that exists) or `peers` (a group to form)"
                    .into(),
            });
        }
        Ok(self)
    }

    /// `advertise` with the port of a listen address.
    pub fn advertised(&self, listen: &str) -> String {
        let port = listen.rsplit_once(':').map_or("0", |(_, port)| port);
        format!("{}:{port}", self.advertise)
    }
}

fn address(key: &'static str, value: String) -> Result<String, SettingsError> {
    let port = value.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(value),
        _ => Err(SettingsError::Value {
            key,
            value,
            reason: "write host:port, for instance 192.168.1.100:7001".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
