//! 7. `kill -9` of all managers: the nodes serve on, one starts without them, and the managers come back with everything.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::SOON;
use super::publish_under_traffic::flow;
use crate::stage::Stage;
use crate::wait::{Seen, ms_since, until};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Answered while no manager lived.
    pub requests_without_managers: u64,
    /// From the start of a node without any manager until it served.
    pub node_served_ms: u64,
    /// From the restart of the managers until one led.
    pub leader_ms: u64,
    /// From the restart of the managers until every node was active again.
    pub nodes_active_ms: u64,
    pub versions: usize,
    pub failed: u64,
}

/// Kills all managers, restarts a node meanwhile, then the managers.
///
/// # Errors
/// A failed request, a node that does not serve, something that is lost.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let before = stage.ledger.failed_requests();
    let first = stage.ledger.answered_requests();
    for manager in &mut stage.managers {
        manager.kill().await?;
    }
    flow(Duration::from_secs(2)).await;
    let node_served_ms = restart_node(stage, 0).await?;
    flow(Duration::from_secs(2)).await;
    let requests_without_managers = stage.ledger.answered_requests() - first;
    stage.no_failures_since(before)?;

    let start = Instant::now();
    for manager in &mut stage.managers {
        manager.start()?;
    }
    stage.until_leader(None, SOON).await?;
    let leader_ms = ms_since(start);
    let versions = everything_is_there(stage).await?;
    for index in 0..stage.nodes.len() {
        stage.until_node_is(index, "active", SOON).await?;
    }
    let nodes_active_ms = ms_since(start);
    stage.no_failures_since(before)?;
    Ok(Figures {
        requests_without_managers,
        node_served_ms,
        leader_ms,
        nodes_active_ms,
        versions,
        failed: 0,
    })
}

/// Stops and starts a node that finds no manager.
async fn restart_node(stage: &mut Stage, index: usize) -> Result<u64> {
    let target = stage.nodes[index].target.clone();
    stage.traffic.is_stopping(index);
    stage.nodes[index].process()?.terminate()?;
    let status = stage.nodes[index]
        .process()?
        .wait(Duration::from_secs(20))
        .await?;
    ensure!(
        status.code() == Some(0),
        "{} ended with {status} after SIGTERM instead of 0",
        target.name
    );
    stage.traffic.remove(index).await;
    let start = Instant::now();
    stage.nodes[index].start()?;
    stage
        .until_serves(&target, stage.digests.len() as u64, SOON)
        .await?;
    let served_ms = ms_since(start);
    stage.traffic.add(target);
    Ok(served_ms)
}

async fn everything_is_there(stage: &Stage) -> Result<usize> {
    let list = until("the managers answer", SOON, || async {
        Ok(Seen::Yes(
            stage.api.get("/v1/fleets/default/versions").await?,
        ))
    })
    .await?;
    let list = list["versions"].as_array().context("no list of versions")?;
    let digests: Vec<_> = list
        .iter()
        .rev()
        .filter_map(|version| version["digest"].as_str())
        .collect();
    ensure!(
        digests == stage.digests,
        "the versions are {digests:?} instead of {:?}",
        stage.digests
    );
    let licence = stage.api.get("/v1/license").await?;
    ensure!(
        licence["max_nodes"] == stage.options.nodes,
        "the licence is lost: {licence}"
    );
    for index in 0..stage.nodes.len() {
        stage.node_status(index).await?;
    }
    Ok(digests.len())
}
