//! 6. SIGTERM to a node under traffic, `kill -9` to another; both come back with their ids.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::SOON;
use crate::ledger::now_ms;
use crate::stage::Stage;
use crate::wait::{Seen, ms_since, until};

/// Slow requests that are under way when the node is told to stop.
const IN_FLIGHT: usize = 8;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Slow requests under way at SIGTERM, all of which were answered with 200.
    pub in_flight_answered: usize,
    /// From SIGTERM until the group says `removed`.
    pub removed_ms: u64,
    /// From SIGTERM until the process had ended.
    pub stopped_ms: u64,
    /// From `kill -9` until the group says `unreachable`.
    pub unreachable_ms: u64,
    /// From `kill -9` until the group says `down`.
    pub down_ms: u64,
    /// From its restart until the killed node was active under its old id and served.
    pub back_ms: u64,
    /// Connections that the stopping node no longer accepted; no request was on them.
    pub refused_connects: u64,
    pub failed: u64,
}

/// Stops the last node but one, kills the last, brings both back.
///
/// # Errors
/// A failed request, another state than the life cycle has, another id.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let before = stage.ledger.failed_requests();
    let (stopped, killed) = (stage.nodes.len() - 2, stage.nodes.len() - 1);
    let refused_before = stage.ledger.refused_connects();
    let (in_flight_answered, removed_ms, stopped_ms) = stop(stage, stopped).await?;
    stage.no_failures_since(before)?;
    let refused_connects = stage.ledger.refused_connects() - refused_before;

    stage.traffic.remove(killed).await;
    let kill = Instant::now();
    stage.nodes[killed].killed_at_ms = Some(now_ms());
    stage.nodes[killed].process()?.kill().await?;
    stage.until_node_is(killed, "unreachable", SOON).await?;
    let unreachable_ms = ms_since(kill);
    stage.until_node_is(killed, "down", SOON).await?;
    let down_ms = ms_since(kill);

    let restart = Instant::now();
    come_back(stage, killed).await?;
    let back_ms = ms_since(restart);
    come_back(stage, stopped).await?;
    stage.no_failures_since(before)?;
    Ok(Figures {
        in_flight_answered,
        removed_ms,
        stopped_ms,
        unreachable_ms,
        down_ms,
        back_ms,
        refused_connects,
        failed: 0,
    })
}

/// SIGTERM with slow requests under way.
async fn stop(stage: &mut Stage, index: usize) -> Result<(usize, u64, u64)> {
    let target = stage.nodes[index].target.clone();
    let burst = stage.traffic.slow_burst(&target, IN_FLIGHT);
    until(
        "the slow requests have reached the backend",
        Duration::from_secs(10),
        || async {
            let now = stage.backend.slow_in_flight();
            Ok(if now >= IN_FLIGHT {
                Seen::Yes(())
            } else {
                Seen::No(format!("{now} of {IN_FLIGHT}"))
            })
        },
    )
    .await?;
    stage.traffic.is_stopping(index);
    let start = Instant::now();
    stage.nodes[index].process()?.terminate()?;
    stage.until_node_is(index, "removed", SOON).await?;
    let removed_ms = ms_since(start);
    let status = stage.nodes[index]
        .process()?
        .wait(Duration::from_secs(20))
        .await?;
    let stopped_ms = ms_since(start);
    ensure!(
        status.code() == Some(0),
        "{} ended with {status} after SIGTERM instead of 0",
        target.name
    );
    let answered = burst.await?;
    ensure!(
        answered == IN_FLIGHT,
        "{answered} of the {IN_FLIGHT} requests under way at SIGTERM were answered"
    );
    stage.traffic.remove(index).await;
    Ok((answered, removed_ms, stopped_ms))
}

/// Starts a node again; it must be active under its old id, serve the newest version, and then gets traffic.
async fn come_back(stage: &mut Stage, index: usize) -> Result<()> {
    stage.nodes[index].start()?;
    stage.until_node_is(index, "active", SOON).await?;
    let newest = stage.digests.len() as u64;
    let target = stage.nodes[index].target.clone();
    stage.until_serves(&target, newest, SOON).await?;
    stage.traffic.add(target);
    Ok(())
}
