//! What the rest of the node may ask of a gateway, whichever one it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use krakend_gateway::StatisticsSnapshot;
use thiserror::Error;

/// Which gateway serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A real KrakenD process behind the node's front door.
    Krakend {
        /// As `krakend version` says it, for example `2.13.8`.
        version: String,
    },
    /// The engine inside this process.
    Embedded,
}

/// The gateway does not take this configuration. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Refusal {
    /// KrakenD's own words, or the embedded engine's findings, one a line.
    pub text: String,
}

/// A configuration that now serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// SHA-256 of the bytes the gateway runs from: the file written for
    /// KrakenD, the document itself for the embedded engine.
    pub rendered_digest: [u8; 32],
}

/// Why a configuration was not applied. In every case the one before it, if
/// there was one, goes on serving.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The gateway's own check says no; another attempt gives the same answer.
    #[error("the gateway refuses the configuration: {0}")]
    Refused(#[from] Refusal),
    /// The new gateway process ended or never answered its health check.
    #[error("the new gateway {reason}; its last lines:\n{}", last_lines.join("\n"))]
    NotHealthy {
        /// What it did instead, as the rest of the sentence "the new gateway ...".
        reason: String,
        /// What it wrote last, oldest first, unchanged.
        last_lines: Vec<String>,
    },
    /// The node itself could not do its part; trying again may help.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path or program.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// There is nothing to start the gateway with.
    #[error("the gateway has no configuration yet, so there is nothing to restart")]
    NoConfiguration,
    /// The runtime is shutting down and takes no new configuration.
    #[error("the gateway is shutting down and takes no new configuration")]
    Stopping,
}

impl ApplyError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What the process that serves uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSample {
    /// Resident memory now.
    pub memory_bytes: u64,
    /// CPU time used since this runtime started, over all its processes; grows only.
    pub cpu_ms: u64,
    /// How often a gateway that died was started again; grows only.
    pub restarts: u32,
}

/// One gateway that serves a configuration on the node's public port.
///
/// Until a configuration is applied the port answers 503.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Which gateway this is.
    fn kind(&self) -> RuntimeKind;

    /// The public address, with the port the system chose when 0 was asked for.
    fn local_addr(&self) -> SocketAddr;

    /// Asks the gateway's own check about `document`; changes nothing that serves.
    ///
    /// # Errors
    /// [`ApplyError::Refused`] with the gateway's words, or `Io` when the check could not be run.
    async fn check(&self, document: &[u8]) -> Result<(), ApplyError>;

    /// Serves `document` from now on. Requests that run when it is called end
    /// under the configuration they began with; none is lost.
    ///
    /// # Errors
    /// See [`ApplyError`]: the configuration before stays.
    async fn apply(&self, document: &[u8]) -> Result<Applied, ApplyError>;

    /// Starts the gateway anew from the configuration that it serves: a second process takes over while the first one
    /// ends its requests. The embedded engine builds its routes and connections anew.
    ///
    /// # Errors
    /// See [`ApplyError`]: the gateway before serves on.
    async fn restart(&self) -> Result<Applied, ApplyError>;

    /// Answers the health path with 503, and ends connections with their next answer, for as long as it is set. Whatever
    /// comes all the same is served.
    fn set_draining(&self, draining: bool);

    /// Whether traffic is being sent elsewhere.
    fn is_draining(&self) -> bool;

    /// The file from which the gateway that serves was started, and its digest as it was written; `None` where there is
    /// none.
    fn rendered_file(&self) -> Option<(PathBuf, [u8; 32])>;

    /// The digest of what serves now, `None` without a configuration. It
    /// changes when a gateway that died was started again on other ports.
    fn rendered_digest(&self) -> Option<[u8; 32]>;

    /// Whether requests are served by a gateway right now.
    fn is_ready(&self) -> bool;

    /// Everything counted since the last call, and starts a new interval.
    /// Reads the gateway's own counters first.
    async fn take_statistics(&self) -> StatisticsSnapshot;

    /// What the serving process uses; `None` while there is none.
    fn process_sample(&self) -> Option<ProcessSample>;

    /// Stops accepting, answers what is open (with `Connection: close`), then
    /// stops the gateway; all within `grace` plus the gateway's stop limit.
    /// The last counters are read before: one more `take_statistics` has them.
    async fn shutdown(&self, grace: Duration);
}
