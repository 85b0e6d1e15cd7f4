//! Statistics as they are handed out.

use std::collections::BTreeMap;

use sketches_ddsketch::{Config, DDSketch};

/// An empty sketch of latencies in milliseconds: relative error 1 %, at most 2,048 bins. The same everywhere, or sketches could not be merged.
pub fn new_sketch() -> DDSketch {
    DDSketch::new(Config::defaults())
}

/// Requests and backend calls of some span of time.
#[derive(Clone, Debug)]
pub struct StatisticsSnapshot {
    /// Sorted by endpoint and method.
    pub endpoints: Vec<EndpointStatistics>,
    /// Sorted by host and URL pattern.
    pub backends: Vec<BackendStatistics>,
    /// Client connections accepted.
    pub connections: u64,
    /// Client connections open at the end of the span.
    pub open_connections: u64,
}

/// Requests to one endpoint.
#[derive(Clone)]
pub struct EndpointStatistics {
    /// The configured pattern, such as `/users/{id}`, or `(no route)` or `(other)`.
    pub endpoint: String,
    /// Upper case, or `(other)`.
    pub method: String,
    /// Requests by status code; 499 are those whose client went away before an answer.
    pub status: BTreeMap<u16, u64>,
    /// Bytes of answers' bodies, as they went to clients.
    pub bytes_sent: u64,
    /// From the request's head to the end of the answer, in milliseconds.
    pub latency: DDSketch,
}

/// Calls to one backend.
#[derive(Clone)]
pub struct BackendStatistics {
    /// Base URL, such as `http://10.0.0.1:8000`.
    pub host: String,
    /// The configured pattern.
    pub url_pattern: String,
    /// All calls.
    pub calls: u64,
    /// Calls without a usable answer, timeouts included.
    pub errors: u64,
    /// Calls that ran out of time.
    pub timeouts: u64,
    /// Until the answer was read (no-op: until its head came), in milliseconds.
    pub latency: DDSketch,
}

impl StatisticsSnapshot {
    pub(crate) fn sorted(mut self) -> Self {
        self.endpoints
            .sort_by(|a, b| (&a.endpoint, &a.method).cmp(&(&b.endpoint, &b.method)));
        self.backends
            .sort_by(|a, b| (&a.host, &a.url_pattern).cmp(&(&b.host, &b.url_pattern)));
        self
    }
}

impl EndpointStatistics {
    /// Requests of all status codes.
    pub fn requests(&self) -> u64 {
        self.status.values().sum()
    }
}

// DDSketch has no Debug.
impl std::fmt::Debug for EndpointStatistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointStatistics")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("status", &self.status)
            .field("bytes_sent", &self.bytes_sent)
            .field("latency_count", &self.latency.count())
            .finish()
    }
}

impl std::fmt::Debug for BackendStatistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendStatistics")
            .field("host", &self.host)
            .field("url_pattern", &self.url_pattern)
            .field("calls", &self.calls)
            .field("errors", &self.errors)
            .field("timeouts", &self.timeouts)
            .field("latency_count", &self.latency.count())
            .finish()
    }
}
