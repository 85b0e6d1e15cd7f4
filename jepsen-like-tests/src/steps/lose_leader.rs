//! 5. `kill -9` of the leader: another leads, traffic does not notice, a third version is published.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::SOON;
use super::publish_first::publish_next;
use crate::stage::Stage;
use crate::wait::{Seen, ms_since, until};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub killed: String,
    pub new_leader: String,
    /// From the kill until a living manager names another leader.
    pub election_ms: u64,
    pub version: u64,
    /// From the kill until the new version was committed.
    pub published_ms: u64,
    /// From publication until every node has acknowledged and serves.
    pub served_ms: u64,
    pub failed: u64,
}

/// Kills the leader, publishes version 3, starts the killed one again.
///
/// # Errors
/// No new leader, a failed request, a version that is not taken, a manager that does not catch up.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let before = stage.ledger.failed_requests();
    let leader = stage.until_leader(None, SOON).await?;
    let killed = stage.managers[leader].name.clone();
    let kill = Instant::now();
    stage.managers[leader].kill().await?;
    let next = stage.until_leader(Some(&killed), SOON).await?;
    let election_ms = ms_since(kill);
    let version = publish_next(stage).await?;
    let published_ms = ms_since(kill);
    let published = Instant::now();
    stage.until_all_serve(version, SOON).await?;
    let served_ms = ms_since(published);
    stage.managers[leader].start()?;
    caught_up(stage, leader).await?;
    stage.no_failures_since(before)?;
    Ok(Figures {
        killed,
        new_leader: stage.managers[next].name.clone(),
        election_ms,
        version,
        published_ms,
        served_ms,
        failed: 0,
    })
}

async fn caught_up(stage: &Stage, index: usize) -> Result<()> {
    let manager = &stage.managers[index];
    let wanted = stage.api.get("/v1/status").await?["applied_index"]
        .as_u64()
        .unwrap_or(u64::MAX);
    until(
        &format!("{} has caught up to index {wanted}", manager.name),
        SOON,
        || async {
            let status = stage
                .api
                .get_from(manager.http, "/v1/status?consistency=stale")
                .await?;
            let applied = status["applied_index"].as_u64().unwrap_or_default();
            Ok(if applied >= wanted {
                Seen::Yes(())
            } else {
                Seen::No(format!("index {applied}"))
            })
        },
    )
    .await
}
