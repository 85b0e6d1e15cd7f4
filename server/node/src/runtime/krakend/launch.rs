//! From a configuration to a KrakenD that answers.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use krakend_gateway::{RouteTable, Strictness};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::binary::Binary;
use super::document::Document;
use super::gateway::GatewayProcess;
use super::live::{Live, LiveParts};
use crate::runtime::ApplyError;

/// Between asking for a spare port and KrakenD's taking it, another program may.
const PORT_ATTEMPTS: usize = 5;
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// Starts KrakenD processes.
pub(crate) struct Launcher {
    pub(crate) binary: Binary,
    pub(crate) work_dir: PathBuf,
    pub(crate) health_timeout: Duration,
    pub(crate) abandon: CancellationToken,
    started: AtomicU64,
}

/// Why one attempt failed.
enum Failed {
    /// Another program has the port: try the next.
    PortTaken(ApplyError),
    Final(ApplyError),
}

impl Launcher {
    pub(crate) fn new(
        binary: Binary,
        work_dir: PathBuf,
        health_timeout: Duration,
        abandon: CancellationToken,
    ) -> Self {
        Self {
            binary,
            work_dir,
            health_timeout,
            abandon,
            started: AtomicU64::new(0),
        }
    }

    /// A KrakenD that serves `source`, healthy.
    pub(crate) async fn launch(
        &self,
        source: &[u8],
        document: &Document,
    ) -> Result<Arc<Live>, ApplyError> {
        let mut attempt = 1;
        loop {
            match self.attempt(source, document).await {
                Ok(live) => return Ok(live),
                Err(Failed::PortTaken(_)) if attempt < PORT_ATTEMPTS => attempt += 1,
                Err(Failed::PortTaken(error) | Failed::Final(error)) => return Err(error),
            }
        }
    }

    async fn attempt(&self, source: &[u8], document: &Document) -> Result<Arc<Live>, Failed> {
        let io = |what: &str| {
            let what = what.to_owned();
            |e| Failed::Final(ApplyError::io(what)(e))
        };
        let (port, stats_port) =
            spare_ports().map_err(io("finding spare ports for the gateway"))?;
        let rendered = document.render(stats_port);
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let file = self.work_dir.join(format!("gateway-{number}.json"));
        let process = GatewayProcess::spawn(
            &self.binary,
            &file,
            &rendered,
            port,
            self.abandon.child_token(),
        )
        .map_err(io("starting the gateway"))?;
        let live = Live::new(LiveParts {
            process,
            file: file.clone(),
            port,
            stats_port,
            digest: Sha256::digest(&rendered).into(),
            routes: routes_of(source),
            rules: document.client_ip_rules(),
            health_path: document.health_path(),
            expects_health_200: document.expects_health_200(),
            backend_names: document.backend_names(),
        });
        match self.wait_until_healthy(&live, &file).await {
            Ok(()) => Ok(Arc::new(live)),
            Err(failed) => {
                live.process.kill().await;
                Err(failed)
            }
        }
    }

    async fn wait_until_healthy(&self, live: &Live, file: &std::path::Path) -> Result<(), Failed> {
        let started = Instant::now();
        while started.elapsed() < self.health_timeout {
            if live.process.has_exited() {
                return Err(ended(live).await);
            }
            if live.is_healthy().await && self.is_ours(live, file).await? {
                return Ok(());
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        let reason = format!(
            "did not answer its health check within {} ms",
            self.health_timeout.as_millis()
        );
        Err(Failed::Final(not_healthy(live, reason)))
    }

    /// Whether the answers come from our process: its counters name the
    /// command line. KrakenD goes on without counters when their port was
    /// taken, so this finds a lost race for either port.
    async fn is_ours(&self, live: &Live, file: &std::path::Path) -> Result<bool, Failed> {
        if live
            .process
            .last_lines
            .any_contains("bind: address already in use")
        {
            let error = not_healthy(live, "lost its port to another program".into());
            return Err(Failed::PortTaken(error));
        }
        let Some(stats) = live.read_stats().await else {
            return Ok(false);
        };
        let arguments = stats.get("cmdline").and_then(|c| c.as_array());
        let ours = arguments.is_some_and(|a| a.iter().any(|a| a.as_str() == file.to_str()));
        Ok(ours && !live.process.has_exited())
    }
}

async fn ended(live: &Live) -> Failed {
    let status = live.process.exit().await;
    // Its last lines may still be on their way through the pipe.
    tokio::time::sleep(PROBE_PAUSE).await;
    let how = status.map_or_else(|| "in an unknown way".to_owned(), |s| s.to_string());
    let error = not_healthy(live, format!("ended before it was healthy ({how})"));
    if live
        .process
        .last_lines
        .any_contains("bind: address already in use")
    {
        Failed::PortTaken(error)
    } else {
        Failed::Final(error)
    }
}

fn not_healthy(live: &Live, reason: String) -> ApplyError {
    ApplyError::NotHealthy {
        reason,
        last_lines: live.process.last_lines.to_vec(),
    }
}

/// The endpoints to count requests by. KrakenD may accept what our own parser
/// does not: such a configuration serves, and is counted without endpoints.
fn routes_of(source: &[u8]) -> Option<RouteTable> {
    match krakend_gateway::parse(source, Strictness::Lenient) {
        Ok((config, _warnings)) => Some(RouteTable::new(&config)),
        Err(report) => {
            tracing::warn!(target: "gateway", %report, "requests cannot be told apart by endpoint");
            None
        }
    }
}

/// Two loopback ports that were free a moment ago.
fn spare_ports() -> std::io::Result<(u16, u16)> {
    let first = TcpListener::bind(("127.0.0.1", 0))?;
    let second = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}
