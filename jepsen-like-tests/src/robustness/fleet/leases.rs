//! What nodes say of their leases, and what managers show of them.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::http::Ask;
use crate::robustness::checker::{Finding, Look};
use crate::wait;

const LOOK_EVERY: Duration = Duration::from_millis(250);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Leases run out and are given again within seconds; the rest is for a busy machine.
const LICENSED_WITHIN: Duration = Duration::from_secs(120);

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

impl Fleet {
    /// Asks one node again and again. Nothing cuts this off: it asks from the bridge.
    pub(super) async fn ask_node(self, node: usize, stop: CancellationToken) {
        let (api, starts) = {
            let nodes = self.nodes.lock().await;
            (nodes[node].api, nodes[node].starts.clone())
        };
        while !stop.is_cancelled() {
            let (run, asked_ms) = (starts.load(Ordering::SeqCst), now_ms());
            let status = Ask::get("/v1/status").send(api, ANSWER_WITHIN).await;
            let status: Option<Value> = status.and_then(|answer| answer.ok()?.json()).ok();
            if let Some(status) = status {
                let lease = &status["lease"];
                self.leases().looks.push(Look {
                    node,
                    run,
                    asked_ms,
                    answered_ms: now_ms(),
                    licensed: status["mode"] == "cluster",
                    remaining_ms: lease["remaining_ms"].as_u64().unwrap_or(0),
                    clock_moved_ms: lease["clock_moved_ms"].as_i64().unwrap_or(0),
                    id: status["node_id"].as_str().unwrap_or_default().to_owned(),
                });
            }
            let _ = tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await;
        }
    }

    /// Everything is healed: who is active must serve with the licence's limits.
    pub async fn licensed_again(&self) -> Finding {
        const CHECK: &str = "licensed-again";
        let all = wait::until(
            "every active node is licensed",
            LICENSED_WITHIN,
            async || {
                let active = self.active().await?;
                let nodes = self.nodes.lock().await;
                for node in nodes.iter().filter(|node| active.contains(&node.name)) {
                    let status = Ask::get("/v1/status").send(node.api, ANSWER_WITHIN).await?;
                    let status = status.ok()?.json()?;
                    if status["mode"] != "cluster" {
                        return Ok(wait::Seen::No(format!("{}: {status}", node.name)));
                    }
                }
                Ok(wait::Seen::Yes(active.len()))
            },
        );
        match all.await {
            Ok(count) => Finding::pass(CHECK, format!("{count} nodes")),
            Err(error) => Finding::fail(CHECK, format!("{error:#}"), Vec::new()),
        }
    }

    /// Names of the nodes that a manager shows as active.
    pub(super) async fn active(&self) -> Result<Vec<String>> {
        let manager = self.clients.members().first().copied().unwrap_or(0);
        let reply = self
            .clients
            .send(manager, Ask::get("/v1/nodes"), ANSWER_WITHIN);
        let list = reply.await.json().unwrap_or_default();
        let nodes = list["nodes"].as_array().cloned().unwrap_or_default();
        let active = nodes.iter().filter(|it| it["state"] == "active");
        let active: Vec<_> = active
            .filter_map(|it| Some(it["name"].as_str()?.to_owned()))
            .collect();
        ensure!(!active.is_empty(), "no manager shows an active node");
        Ok(active)
    }
}
