//! The real KrakenD, supervised.
//!
//! The node owns the public port; KrakenD listens on a spare loopback port. A
//! new configuration is a second process: checked, started, probed, then new
//! requests switch over while the first drains and ends. A process that dies
//! is started again with growing pauses.

mod binary;
mod client_ip;
mod document;
mod door;
mod gateway;
mod launch;
mod leftover;
mod live;
mod log;
mod shared;
mod stats;
mod supervise;

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use krakend_gateway::StatisticsSnapshot;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use binary::Binary;
use document::Document;
use door::FrontDoor;
use launch::Launcher;
use supervise::Supervisor;

use super::{Applied, ApplyError, ProcessSample, Runtime, RuntimeKind, RuntimeOptions, StartError};

/// How often KrakenD's counters are read: a gateway that is killed takes at
/// most so much of them along.
const COLLECT_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct KrakendRuntime {
    supervisor: Arc<Supervisor>,
    door: FrontDoor,
    abandon: CancellationToken,
}

impl KrakendRuntime {
    /// Takes the public port and answers 503 on it.
    pub(crate) async fn start(
        options: RuntimeOptions,
        binary: Binary,
    ) -> Result<Arc<Self>, StartError> {
        let listener =
            TcpListener::bind(options.listen)
                .await
                .map_err(|source| StartError::Listen {
                    listen: options.listen,
                    source,
                })?;
        let dir_error = |source| StartError::WorkDir {
            path: options.work_dir.clone(),
            source,
        };
        make_private_dir(&options.work_dir).map_err(dir_error)?;
        leftover::clear(&options.work_dir).map_err(dir_error)?;
        let abandon = CancellationToken::new();
        let launcher = Launcher::new(
            binary,
            options.work_dir.clone(),
            options.krakend_health_timeout,
            abandon.clone(),
        );
        let supervisor = Supervisor::new(
            launcher,
            options.drain_timeout,
            options.krakend_stop_timeout,
        );
        let shared = Arc::clone(&supervisor.shared);
        let door = FrontDoor::open(
            listener,
            shared,
            options.max_connections,
            abandon.child_token(),
        )
        .map_err(|source| StartError::Listen {
            listen: options.listen,
            source,
        })?;
        tokio::spawn(collect_regularly(Arc::clone(&supervisor), abandon.clone()));
        Ok(Arc::new(Self {
            supervisor,
            door,
            abandon,
        }))
    }
}

#[async_trait]
impl Runtime for KrakendRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Krakend {
            version: self.supervisor.launcher.binary.version.clone(),
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.door.address()
    }

    async fn check(&self, document: &[u8]) -> Result<(), ApplyError> {
        self.supervisor.check(document).await.map(|_document| ())
    }

    async fn apply(&self, document: &[u8]) -> Result<Applied, ApplyError> {
        self.supervisor.apply(document).await
    }

    async fn restart(&self) -> Result<Applied, ApplyError> {
        self.supervisor.renew().await
    }

    fn set_draining(&self, draining: bool) {
        self.supervisor.shared.set_draining(draining);
    }

    fn is_draining(&self) -> bool {
        self.supervisor.shared.is_draining()
    }

    fn rendered_file(&self) -> Option<(PathBuf, [u8; 32])> {
        let live = self.supervisor.shared.current()?;
        Some((live.file.clone(), live.digest))
    }

    fn rendered_digest(&self) -> Option<[u8; 32]> {
        self.supervisor.shared.current().map(|live| live.digest)
    }

    fn is_ready(&self) -> bool {
        let shared = &self.supervisor.shared;
        !shared.is_closing() && shared.current().is_some()
    }

    async fn take_statistics(&self) -> StatisticsSnapshot {
        let shared = &self.supervisor.shared;
        if let Some(live) = shared.current() {
            live.collect(&shared.statistics).await;
        }
        shared.statistics.take_interval()
    }

    fn process_sample(&self) -> Option<ProcessSample> {
        self.supervisor.process_sample()
    }

    async fn shutdown(&self, grace: Duration) {
        self.door.close(grace).await;
        self.supervisor.stop().await;
        self.abandon.cancel();
    }
}

impl Drop for KrakendRuntime {
    fn drop(&mut self) {
        self.abandon.cancel();
    }
}

async fn collect_regularly(supervisor: Arc<Supervisor>, abandon: CancellationToken) {
    let mut ticks = tokio::time::interval(COLLECT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = abandon.cancelled() => return,
        }
        if let Some(live) = supervisor.shared.current() {
            live.collect(&supervisor.shared.statistics).await;
            // Keeps what a process used from before its end.
            supervisor.process_sample();
        }
    }
}

fn make_private_dir(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}
