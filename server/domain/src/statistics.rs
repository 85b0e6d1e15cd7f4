use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FleetName, Millis, NodeId, Sketch};

/// Length of a window.
pub const WINDOW_MS: u64 = 60_000;
const MAX_SERIES_PER_WINDOW: usize = 2_000;

/// One run of the node program: sequences count from 1 within it, so a node that lost its memory doubles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SampleStream(pub Uuid);

/// What a node counted between two instants of its clock, never across a window's edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// From 1, without holes, within its stream.
    pub seq: u64,
    pub start_ms: Millis,
    pub end_ms: Millis,
    pub endpoints: Vec<EndpointSample>,
    pub backends: Vec<BackendSample>,
    /// Open at the end; programs before feature level 5 count those that were accepted.
    pub connections: u64,
    pub memory_bytes: u64,
    /// CPU time spent in the interval by node and gateway.
    pub cpu_ms: u64,
    /// Gateway restarts in the interval that nobody ordered.
    pub restarts: u32,
}

/// Requests of one endpoint and method.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointSample {
    pub endpoint: String,
    pub method: String,
    /// Requests by status code.
    /// From feature level 6 on bytes stand beside them, see [`EndpointSample::BYTES_SENT`].
    pub status: Vec<(u16, u64)>,
    pub latency: Sketch,
}

impl EndpointSample {
    /// Counts bytes of answers' bodies where a status code stands: no answer has such a status.
    pub const BYTES_SENT: u16 = 1_000;

    /// Requests by status code, without what stands beside them.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let all = self.status.iter().copied();
        all.filter(|(code, _)| *code < Self::BYTES_SENT)
    }
}

/// Calls to one backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackendSample {
    pub host: String,
    pub url_pattern: String,
    pub calls: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub latency: Sketch,
}

/// Key of a node's window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowKey {
    pub fleet: FleetName,
    /// A multiple of [`WINDOW_MS`].
    pub start_ms: Millis,
    pub node_id: NodeId,
}

/// What one node did in one window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NodeWindow {
    /// By endpoint and method.
    pub endpoints: BTreeMap<(String, String), EndpointCell>,
    /// By host and URL pattern.
    pub backends: BTreeMap<(String, String), BackendCell>,
    /// Time that samples cover.
    pub covered_ms: u64,
    pub restarts: u32,
}

/// Sums of one endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EndpointCell {
    pub status: BTreeMap<u16, u64>,
    pub latency: Sketch,
}

/// Sums of one backend.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackendCell {
    pub calls: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub latency: Sketch,
}

/// The newest samples of a node in short, for live figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecentSample {
    pub start_ms: Millis,
    pub end_ms: Millis,
    pub requests: u64,
    /// Answers of 500 and above.
    pub errors: u64,
    pub latency: Sketch,
    pub memory_bytes: u64,
    pub cpu_ms: u64,
    pub connections: u64,
}

impl Sample {
    /// Start of the window that the sample belongs to.
    pub fn window_start_ms(&self) -> Millis {
        self.start_ms - self.start_ms % WINDOW_MS
    }

    /// The sample in short.
    pub fn summary(&self) -> RecentSample {
        let mut latency = Sketch::default();
        let (mut requests, mut errors) = (0, 0);
        for endpoint in &self.endpoints {
            latency.merge(&endpoint.latency);
            for (code, count) in endpoint.statuses() {
                requests += count;
                if code >= 500 {
                    errors += count;
                }
            }
        }
        RecentSample {
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            requests,
            errors,
            latency,
            memory_bytes: self.memory_bytes,
            cpu_ms: self.cpu_ms,
            connections: self.connections,
        }
    }
}

impl NodeWindow {
    /// Adds a sample. Series beyond the bound are summed as `(other)`, so that the totals stay true.
    pub fn add(&mut self, sample: &Sample) {
        for endpoint in &sample.endpoints {
            let key = (endpoint.endpoint.clone(), endpoint.method.clone());
            let cell = bounded(&mut self.endpoints, key);
            for (code, count) in &endpoint.status {
                *cell.status.entry(*code).or_default() += count;
            }
            cell.latency.merge(&endpoint.latency);
        }
        for backend in &sample.backends {
            let key = (backend.host.clone(), backend.url_pattern.clone());
            let cell = bounded(&mut self.backends, key);
            cell.calls += backend.calls;
            cell.errors += backend.errors;
            cell.timeouts += backend.timeouts;
            cell.latency.merge(&backend.latency);
        }
        self.covered_ms += sample.end_ms.saturating_sub(sample.start_ms);
        self.restarts += sample.restarts;
    }
}

fn bounded<V: Default>(map: &mut BTreeMap<(String, String), V>, key: (String, String)) -> &mut V {
    let key = if map.len() < MAX_SERIES_PER_WINDOW || map.contains_key(&key) {
        key
    } else {
        ("(other)".into(), String::new())
    };
    map.entry(key).or_default()
}
