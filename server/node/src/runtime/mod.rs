//! The gateway on a node: two runtimes behind one trait, one public port.
//!
//! * [`krakend`]: a real KrakenD process behind the node's front door. A new
//!   configuration is a second process; requests switch over, the first drains.
//! * [`embedded`]: the engine in this process; routes swap atomically.
//!
//! Knows nothing about managers, sessions or fleets.

mod contract;
mod embedded;
mod krakend;
mod options;
pub(crate) mod process;

use std::sync::Arc;

pub use contract::{Applied, ApplyError, ProcessSample, Refusal, Runtime, RuntimeKind};
pub use options::{RuntimeChoice, RuntimeOptions, StartError};

/// Starts a runtime on its public port. Until the first `apply` it answers 503.
///
/// # Errors
/// The port is taken, the working directory unusable, or a KrakenD asked for
/// by name cannot be run.
pub async fn start(options: RuntimeOptions) -> Result<Arc<dyn Runtime>, StartError> {
    let binary = match &options.kind {
        RuntimeChoice::Embedded => None,
        RuntimeChoice::Krakend(path) => Some(krakend::Binary::open(path).await?),
        RuntimeChoice::Auto => krakend::Binary::find(options.krakend_path.as_deref()).await,
    };
    let runtime: Arc<dyn Runtime> = match binary {
        Some(binary) => krakend::KrakendRuntime::start(options, binary).await?,
        None => embedded::EmbeddedRuntime::start(options).await?,
    };
    let (kind, listen) = (runtime.kind(), runtime.local_addr());
    tracing::info!(target: "gateway", ?kind, %listen, "the gateway's public port is open");
    Ok(runtime)
}
