use serde::{Deserialize, Serialize};

/// Percentiles of merged sketches, in milliseconds, within 1 % of the true value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
}

/// Counters over a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub requests: u64,
    pub status_2xx: u64,
    pub status_3xx: u64,
    pub status_4xx: u64,
    pub status_5xx: u64,
}

/// One window of the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticsPoint {
    /// Start of the window.
    pub start: String,
    pub duration_ms: u64,
    /// Windows that no longer change: every node that was active has reported past its end.
    pub closed: bool,
    #[serde(flatten)]
    pub totals: Totals,
    pub requests_per_s: f64,
    pub error_ratio: Option<f64>,
    pub latency: Latency,
    /// True where a node that should have reported did not.
    pub gap: bool,
}

/// One endpoint over the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointTotals {
    pub endpoint: String,
    pub method: String,
    #[serde(flatten)]
    pub totals: Totals,
    pub latency: Latency,
}

/// One backend over the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendTotals {
    /// Empty where the gateway does not say it.
    pub host: String,
    pub url_pattern: String,
    pub calls: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub latency: Latency,
}

/// One node over the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTotals {
    pub node_id: String,
    #[serde(flatten)]
    pub totals: Totals,
    pub latency: Latency,
    pub endpoints: Vec<EndpointTotals>,
    pub backends: Vec<BackendTotals>,
    /// Time in the range for which the node has not reported though it was active, in milliseconds.
    pub missing_ms: u64,
    /// End of the node's newest sample.
    pub reported_until: Option<String>,
}

/// Answer of `GET /v1/statistics?fleet=&node=&from=&to=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub fleet: String,
    pub from: String,
    pub to: String,
    /// Live figures over the newest samples, for the leading numbers.
    pub now_requests_per_s: Option<f64>,
    pub now_errors_per_s: Option<f64>,
    pub now_latency: Latency,
    pub totals: Totals,
    pub latency: Latency,
    /// Oldest first, one a window that has data.
    pub points: Vec<StatisticsPoint>,
    pub endpoints: Vec<EndpointTotals>,
    pub backends: Vec<BackendTotals>,
    pub nodes: Vec<NodeTotals>,
}
