//! 8. After the windows have closed, the statistics equal what was sent.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::ledger::now_ms;
use crate::stage::Stage;
use crate::statistics::{Account, NodeFigures, compare};
use crate::wait::{Seen, ms_since, until};

/// A window is a minute; it closes when every node has reported past its end.
const CLOSED_WITHIN: Duration = Duration::from_secs(100);

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Sent to endpoints, over all nodes.
    pub sent: u64,
    pub reported: u64,
    /// Calls that the sample backend counted itself.
    pub backend_calls: u64,
    pub backend_calls_reported: u64,
    /// What the killed nodes lack; at most their last samples.
    pub lost_with_kill: u64,
    /// From the last request until the last window had closed.
    pub closed_ms: u64,
    pub nodes: Vec<NodeFigures>,
}

/// Stops the traffic, waits for the windows, compares.
///
/// # Errors
/// Anything that was counted twice or, beyond a killed node's last sample, not at all.
pub async fn run(stage: &mut Stage, from: &str) -> Result<Figures> {
    stage.traffic.stop().await;
    let stopped = Instant::now();
    let stopped_ms = now_ms();
    let statistics = until("every window is closed", CLOSED_WITHIN, || {
        closed(stage, from, stopped_ms)
    })
    .await?;
    let closed_ms = ms_since(stopped);
    let entries = stage.ledger.entries();
    let account = Account::new(&entries);
    let mut nodes = Vec::new();
    let mut complaints = Vec::new();
    for node in &stage.nodes {
        match compare(&account, node, &statistics) {
            Ok(figures) => nodes.push(figures),
            Err(error) => complaints.push(format!("{}: {error:#}", node.target.name)),
        }
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    let total = |key: fn(&NodeFigures) -> u64| nodes.iter().map(key).sum::<u64>();
    let figures = Figures {
        sent: total(|node| node.sent),
        reported: total(|node| node.reported),
        backend_calls: stage.backend.calls().values().sum(),
        backend_calls_reported: total(|node| node.backend_calls_reported),
        lost_with_kill: total(|node| node.sent - node.reported),
        closed_ms,
        nodes,
    };
    // The backend's own count agrees with the account of what was sent; otherwise the account is no measure for anything.
    let expected = account.backend_calls();
    ensure!(
        figures.backend_calls == expected,
        "the backend counted {} calls, the requests sent make {expected}",
        figures.backend_calls
    );
    Ok(figures)
}

async fn closed(stage: &Stage, from: &str, stopped_ms: u64) -> Result<Seen<Value>> {
    let to = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    let statistics = stage
        .api
        .get(&format!("/v1/statistics?fleet=default&from={from}&to={to}"))
        .await?;
    let points = statistics["points"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    // Later windows hold nothing that was sent.
    let open = points
        .iter()
        .filter(|point| point["closed"] != true && start_ms(point) <= stopped_ms)
        .count();
    let behind: Vec<_> = statistics["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|node| reported_ms(node) < stopped_ms)
        .map(|node| format!("{} until {}", node["node_id"], node["reported_until"]))
        .collect();
    let known = statistics["nodes"].as_array().map_or(0, Vec::len);
    if open == 0 && behind.is_empty() && known >= stage.nodes.len() && !points.is_empty() {
        return Ok(Seen::Yes(statistics));
    }
    Ok(Seen::No(format!(
        "{open} of {} windows are open; {known} nodes have reported; behind: {}",
        points.len(),
        behind.join(", ")
    )))
}

fn start_ms(point: &Value) -> u64 {
    crate::statistics::time_ms(&point["start"])
}

fn reported_ms(node: &Value) -> u64 {
    crate::statistics::time_ms(&node["reported_until"])
}
