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
    /// Bytes of answers' bodies; 0 from nodes and groups that do not count them.
    #[serde(default)]
    pub bytes_sent: u64,
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

/// One step of a series; steps without data are absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesPoint {
    /// Start of the step.
    pub start: String,
    pub requests: u64,
    pub errors: u64,
    pub latency: Latency,
}

/// One endpoint over time, for heat strips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSeries {
    pub endpoint: String,
    pub method: String,
    pub points: Vec<SeriesPoint>,
}

/// An endpoint and status code of 400 and above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorTotals {
    pub status: u16,
    pub endpoint: String,
    pub method: String,
    pub requests: u64,
}

/// What a node's process used in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessPoint {
    pub start: String,
    pub cpu_percent: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub connections: Option<u64>,
    pub restarts: u32,
}

/// Answer of `GET /v1/statistics?fleet=&node=&endpoint=&method=&backend=&from=&to=&step=&top=&order=`.
///
/// `from` and `to` are RFC 3339, `step` a duration (`60s`, `1h`; a multiple of the windows that are left for the range, the finest
/// by default), `top` how many endpoints and backends are told (the rest is summed as `(other)`), `order` is `requests`,
/// `errors` or `p99`.
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
    /// Length of a point.
    #[serde(default)]
    pub step_ms: u64,
    /// The same endpoints as `endpoints`, over time.
    #[serde(default)]
    pub endpoint_series: Vec<EndpointSeries>,
    /// Most frequent first.
    #[serde(default)]
    pub top_errors: Vec<ErrorTotals>,
    /// Only where `node` is given.
    #[serde(default)]
    pub process: Vec<ProcessPoint>,
    #[serde(default)]
    pub detail: StatisticsDetail,
}

/// How detailed the answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsDetail {
    /// Length of the steps of `endpoint_series`: `step_ms`, or a multiple of it where the range has more than 120 steps.
    pub series_step_ms: u64,
    /// Where `node` is given: its endpoints and backends are known from here on, its totals for the whole range.
    pub endpoints_from: Option<String>,
    /// A node or a window had more series than are kept: the rest is summed in the row `(other)`.
    pub other: bool,
}
