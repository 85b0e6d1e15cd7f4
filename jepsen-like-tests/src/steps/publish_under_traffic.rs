//! 4. A second version under steady traffic; not one request fails.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::SOON;
use super::publish_first::publish_next;
use crate::stage::Stage;
use crate::wait::ms_since;

/// The least that counts as steady traffic, requests per second over all nodes.
const LEAST: f64 = 200.0;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub version: u64,
    /// From publication until every node has acknowledged and serves.
    pub served_ms: u64,
    /// Answered during the step.
    pub requests: u64,
    pub requests_per_s: f64,
    pub failed: u64,
}

/// Starts the traffic, publishes version 2 in its middle.
///
/// # Errors
/// A failed request, too little traffic, a node that does not take the version.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let targets: Vec<_> = stage.nodes.iter().map(|node| node.target.clone()).collect();
    for target in targets {
        stage.traffic.add(target);
    }
    let before = stage.ledger.failed_requests();
    let first = stage.ledger.answered_requests();
    let start = Instant::now();
    flow(Duration::from_secs(3)).await;
    let published = Instant::now();
    let version = publish_next(stage).await?;
    stage.until_all_serve(version, SOON).await?;
    let served_ms = ms_since(published);
    flow(Duration::from_secs(3)).await;
    let requests = stage.ledger.answered_requests() - first;
    let requests_per_s = (requests as f64 / start.elapsed().as_secs_f64()).round();
    stage.no_failures_since(before)?;
    ensure!(
        requests_per_s >= LEAST,
        "only {requests_per_s} requests/s were answered, {LEAST} at least are wanted"
    );
    Ok(Figures {
        version,
        served_ms,
        requests,
        requests_per_s,
        failed: 0,
    })
}

/// Lets the traffic flow for a while: the length of the observation, not a wait for something to happen.
pub(crate) async fn flow(time: Duration) {
    tokio::time::sleep(time).await;
}
