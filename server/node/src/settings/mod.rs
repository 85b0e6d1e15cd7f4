//! Settings: flag, then environment (`KRAKEND_NODE_<KEY>`), then file. Read in this one place.

mod load;
mod nearest;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::log::LogFormat;
use crate::runtime::RuntimeChoice;

pub use load::{DEFAULT_FILE, KEYS, SettingsError};

/// Which gateway to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayChoice {
    /// A real KrakenD where there is one, else the embedded engine
    Auto,
    /// A real KrakenD
    Krakend,
    /// The engine inside this program
    Embedded,
}

impl GatewayChoice {
    /// With the program that is named, if one is.
    pub fn with(self, krakend_bin: Option<&Path>) -> RuntimeChoice {
        match self {
            Self::Auto => RuntimeChoice::Auto,
            Self::Embedded => RuntimeChoice::Embedded,
            Self::Krakend => {
                let program = krakend_bin.unwrap_or(Path::new("krakend"));
                RuntimeChoice::Krakend(program.to_path_buf())
            }
        }
    }
}

/// Settings as a file, the environment or flags give them; every key may be missing.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Partial {
    /// host:port of a manager or several (7000/tcp); names are resolved anew at each attempt. Without it the node stands alone
    #[arg(long, value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub seed: Option<Vec<String>>,
    /// Directory of identity, lease, last good configuration and waiting statistics; one for each node [default: /var/lib/krakend-node]
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// File with the join token, which is read only to enrol [default: /etc/krakend/join-token]
    #[arg(long)]
    pub join_token_file: Option<PathBuf>,
    /// Name for people, as the dashboard shows it [default: the host's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Address of gossip over UDP [default: 0.0.0.0:7000]
    #[arg(long)]
    pub gossip_listen: Option<SocketAddr>,
    /// host:port under which others reach this node's gossip [default: this machine's address towards the managers]
    #[arg(long)]
    pub gossip_advertise: Option<String>,
    /// Which gateway to run [default: auto]
    #[arg(long)]
    pub gateway: Option<GatewayChoice>,
    /// The krakend program [default: the one on the PATH]
    #[arg(long)]
    pub krakend_bin: Option<PathBuf>,
    /// The gateway's public address, whatever the configuration says [default: its `listen_ip` and `port`, or 0.0.0.0:8080]
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// krakend.json to serve until the fleet has a version; alone, the one to serve
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Address of /livez, /readyz, /metrics, /v1/status and /v1/members; keep it on loopback, it asks for no token [default: 127.0.0.1:7080]
    #[arg(long)]
    pub api_listen: Option<SocketAddr>,
    /// Address on which balancers ask this node whether it takes traffic: HAProxy's agent-check (TCP) [default: none]
    #[arg(long)]
    pub agent_check: Option<SocketAddr>,
    /// Seconds of one statistics sample; must divide 60 [default: 10]
    #[arg(long)]
    pub sample_period_s: Option<u64>,
    /// Seconds that open requests have when the node stops [default: 30]
    #[arg(long)]
    pub shutdown_grace_s: Option<u64>,
    /// Longest pause between two attempts to join, in seconds [default: 5]
    #[arg(long)]
    pub retry_max_s: Option<u64>,
    /// text or json [default: text]
    #[arg(long)]
    pub log_format: Option<LogFormat>,
    /// error, warn, info, debug, or a list of target=level [default: info]
    #[arg(long)]
    pub log_level: Option<String>,
}

/// Settings that hold.
#[derive(Clone)]
pub struct Settings {
    pub seeds: Vec<String>,
    pub data_dir: PathBuf,
    pub join_token_file: PathBuf,
    /// From the environment; wins over the file.
    pub join_token: Option<Zeroizing<String>>,
    pub name: String,
    pub gossip_listen: SocketAddr,
    pub gossip_advertise: Option<String>,
    pub gateway: GatewayChoice,
    pub krakend_bin: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub config: Option<PathBuf>,
    pub api_listen: SocketAddr,
    pub agent_check: Option<SocketAddr>,
    pub sample_period: Duration,
    pub shutdown_grace: Duration,
    pub retry_max: Duration,
    pub log_format: LogFormat,
    pub log_level: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    let given = Option::<OneOrMany>::deserialize(from)
        .map_err(|_| serde::de::Error::custom("write `seed` as host:port or as a list of them"))?;
    Ok(given.map(|given| match given {
        OneOrMany::One(one) => one.split(',').map(|seed| seed.trim().to_owned()).collect(),
        OneOrMany::Many(many) => many,
    }))
}
