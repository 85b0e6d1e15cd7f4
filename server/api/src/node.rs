use serde::{Deserialize, Serialize};

/// Life cycle of a node, as the leader wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Active,
    Unreachable,
    Down,
    Removed,
}

/// What serves the traffic on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayKind {
    /// A supervised KrakenD process behind the node's front door.
    Krakend,
    /// The engine inside `krakend-node`.
    Embedded,
}

/// One node of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: String,
    pub name: String,
    pub fleet: String,
    pub state: NodeState,
    /// When the state began.
    pub state_since: String,
    /// When a node that is unreachable will count as down.
    pub down_at: Option<String>,
    /// Where the node says it serves, `host:port`.
    pub gateway_address: String,
    pub gossip_address: String,
    pub gateway: GatewayKind,
    pub gateway_version: String,
    pub version: String,
    pub joined_at: String,
    pub desired_version: Option<u64>,
    pub applied_version: Option<u64>,
    pub applied_digest: Option<String>,
    pub applied_generation: Option<u64>,
    pub applied_at: Option<String>,
    /// The gateway's own words when it refused the desired version.
    pub refusal: Option<String>,
    /// Ready to serve, by its own health check; absent while the node is silent.
    pub ready: Option<bool>,
    pub holds_seat: bool,
    /// Since when gossip does not reach it although it has a session with the leader: blocked UDP.
    #[serde(default)]
    pub gossip_blocked_since: Option<String>,
    /// When the node's lease ends.
    pub lease_expires_at: Option<String>,
    /// Since when its lease has ended, as far as the group knows: it serves on with the free version's limits, and comes
    /// back by itself. Absent for a node that was stopped while it had one.
    #[serde(default)]
    pub free_version_since: Option<String>,
    /// Over the last complete sample; absent without one.
    pub requests_per_s: Option<f64>,
    pub errors_per_s: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    /// Requests per second of the last 30 samples, oldest first; `null` where there is a gap.
    pub recent_requests_per_s: Vec<Option<f64>>,
    pub memory_bytes: Option<u64>,
    pub cpu_percent: Option<f64>,
    /// Open connections of clients.
    #[serde(default)]
    pub connections: Option<u64>,
    /// Since when it takes no new traffic because an operator drained it; it keeps its seat.
    #[serde(default)]
    pub draining_since: Option<String>,
    /// The gateway's file was changed by somebody else.
    #[serde(default)]
    pub drift: Option<crate::Drift>,
    /// Since when another machine shows up under the same id.
    #[serde(default)]
    pub duplicate_since: Option<String>,
    /// Name of the manager that its session is with, and when that heard from it last.
    #[serde(default)]
    pub session_manager: Option<String>,
    #[serde(default)]
    pub heard_at: Option<String>,
}

/// Answer of `GET /v1/nodes/{id}/log?lines=N`: the newest lines of the node program and its gateway, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLog {
    pub node_id: String,
    pub lines: Vec<NodeLogLine>,
}

/// Answer of `GET /v1/log?lines=N`: the newest lines of the manager that answers, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerLog {
    pub manager: String,
    pub lines: Vec<NodeLogLine>,
}

/// Answer of `POST /v1/nodes/{id}/restart`: the new gateway serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRestart {
    pub node_id: String,
    /// Until the new gateway was healthy.
    pub took_ms: u64,
}

/// Body and answer of `PUT /v1/log-level` and `PUT /v1/nodes/{id}/log-level`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// error, warn, info, debug, trace, or a list of target=level; absent or empty: what the settings say.
    #[serde(default)]
    pub level: Option<String>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLogLine {
    pub time: String,
    /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
    pub level: String,
    /// `krakend-node` or `KRAKEND`.
    pub source: String,
    pub message: String,
}

/// Answer of `GET /v1/nodes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeList {
    pub nodes: Vec<Node>,
    /// Pass as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// Answer of `POST /v1/join-tokens`. The token is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub id: String,
    pub token: String,
    pub fleet: String,
    pub expires_at: String,
    pub max_uses: u32,
}
