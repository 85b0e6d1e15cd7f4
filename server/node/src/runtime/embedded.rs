//! The embedded engine as a runtime.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use krakend_gateway::{
    BindError, Engine, Server, ServiceConfig, Statistics, StatisticsSnapshot, Strictness, parse,
};
use sha2::{Digest, Sha256};

use super::process::read_use;
use super::{
    Applied, ApplyError, ProcessSample, Refusal, Runtime, RuntimeKind, RuntimeOptions, StartError,
};

/// See the module.
pub(crate) struct EmbeddedRuntime {
    engine: Engine,
    address: SocketAddr,
    /// Taken by the shutdown.
    server: Mutex<Option<Server>>,
    digest: Mutex<Option<[u8; 32]>>,
}

impl EmbeddedRuntime {
    /// Takes the public port and answers 503 on it.
    pub(crate) async fn start(options: RuntimeOptions) -> Result<Arc<Self>, StartError> {
        let engine = Engine::new(Statistics::new());
        let server =
            Server::bind(options.listen, engine.clone()).map_err(|error| StartError::Listen {
                listen: options.listen,
                source: match error {
                    BindError::InUse { .. } => std::io::ErrorKind::AddrInUse.into(),
                    BindError::Denied { .. } => std::io::ErrorKind::PermissionDenied.into(),
                    BindError::Other { source, .. } => source,
                },
            })?;
        Ok(Arc::new(Self {
            engine,
            address: server.local_addr(),
            server: Mutex::new(Some(server)),
            digest: Mutex::new(None),
        }))
    }

    fn serving(&self) -> bool {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

#[async_trait]
impl Runtime for EmbeddedRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Embedded
    }

    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    async fn check(&self, document: &[u8]) -> Result<(), ApplyError> {
        read(document).map(|_config| ())
    }

    async fn apply(&self, document: &[u8]) -> Result<Applied, ApplyError> {
        if !self.serving() {
            return Err(ApplyError::Stopping);
        }
        let config = read(document)?;
        self.engine
            .apply(Arc::new(config))
            .map_err(|error| Refusal {
                text: error.to_string(),
            })?;
        let rendered_digest = Sha256::digest(document).into();
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rendered_digest);
        Ok(Applied { rendered_digest })
    }

    async fn restart(&self) -> Result<Applied, ApplyError> {
        let config = self.engine.config().ok_or(ApplyError::NoConfiguration)?;
        if !self.serving() {
            return Err(ApplyError::Stopping);
        }
        self.engine.apply(config).map_err(|error| Refusal {
            text: error.to_string(),
        })?;
        let rendered_digest = self.rendered_digest().unwrap_or_default();
        Ok(Applied { rendered_digest })
    }

    fn set_draining(&self, draining: bool) {
        self.engine.set_draining(draining);
    }

    fn is_draining(&self) -> bool {
        self.engine.is_draining()
    }

    /// It runs from memory.
    fn rendered_file(&self) -> Option<(PathBuf, [u8; 32])> {
        None
    }

    fn rendered_digest(&self) -> Option<[u8; 32]> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ready(&self) -> bool {
        self.serving() && self.engine.is_ready()
    }

    async fn take_statistics(&self) -> StatisticsSnapshot {
        self.engine.statistics().take_interval()
    }

    /// This process: the engine has none of its own.
    fn process_sample(&self) -> Option<ProcessSample> {
        let used = read_use(std::process::id())?;
        Some(ProcessSample {
            memory_bytes: used.memory_bytes,
            cpu_ms: used.cpu_ms,
            restarts: 0,
        })
    }

    async fn shutdown(&self, grace: Duration) {
        let server = self
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(server) = server else { return };
        let drained = server.shutdown(grace).await;
        if drained.unfinished > 0 {
            let open = drained.unfinished;
            tracing::warn!(target: "gateway", open, "connections did not end within the grace time");
        }
    }
}

fn read(document: &[u8]) -> Result<ServiceConfig, ApplyError> {
    match parse(document, Strictness::Strict) {
        Ok((config, _warnings)) => Ok(config),
        Err(report) => {
            let errors: Vec<String> = report.errors().map(ToString::to_string).collect();
            Err(Refusal {
                text: errors.join("\n"),
            }
            .into())
        }
    }
}
