//! How a runtime is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Which gateway to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// A real KrakenD where there is one, else the embedded engine.
    Auto,
    /// The real KrakenD at this path; its absence is an error.
    Krakend(PathBuf),
    /// The engine inside this process.
    Embedded,
}

/// Everything a runtime needs to start.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Which gateway to run.
    pub kind: RuntimeChoice,
    /// Where `Auto` looks before the `PATH`.
    pub krakend_path: Option<PathBuf>,
    /// The public address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// A directory of this runtime's own: rendered files and process records.
    pub work_dir: PathBuf,
    /// How long a KrakenD may take from SIGTERM to its end before SIGKILL.
    pub krakend_stop_timeout: Duration,
    /// How long a new KrakenD may take to answer its health check.
    pub krakend_health_timeout: Duration,
    /// How long requests under the old configuration may run after a switch.
    pub drain_timeout: Duration,
    /// Connections held open at once; more wait in the kernel's queue.
    pub max_connections: usize,
}

impl RuntimeOptions {
    /// The usual limits: 30 s to drain, 10 s to stop, 15 s to become healthy,
    /// 10,000 connections.
    #[must_use]
    pub fn new(kind: RuntimeChoice, listen: SocketAddr, work_dir: PathBuf) -> Self {
        Self {
            kind,
            krakend_path: None,
            listen,
            work_dir,
            krakend_stop_timeout: Duration::from_secs(10),
            krakend_health_timeout: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(30),
            max_connections: 10_000,
        }
    }
}

/// Why a runtime could not start. Nothing listens afterwards.
#[derive(Debug, Error)]
pub enum StartError {
    /// The public port is taken or not allowed.
    #[error(
        "cannot listen on {listen} for the gateway: {source}; is another gateway running there?"
    )]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The named KrakenD cannot be run.
    #[error("cannot run KrakenD at {}: {reason}; set its path, or choose the embedded gateway", path.display())]
    Krakend {
        /// The program asked for.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The working directory cannot be used.
    #[error("cannot use the gateway's directory {}: {source}", path.display())]
    WorkDir {
        /// The directory asked for.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
}
