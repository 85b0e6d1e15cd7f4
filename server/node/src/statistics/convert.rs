use std::collections::BTreeMap;

use krakend_domain::{BackendSample, EndpointSample, Sample};
use krakend_gateway::StatisticsSnapshot;

/// Moves an interval's counters into a sample; bytes only where managers know them, for others would take them for requests.
pub fn fill(sample: &mut Sample, counted: StatisticsSnapshot, with_bytes: bool) {
    sample.connections = counted.open_connections;
    sample.endpoints = (counted.endpoints.into_iter())
        .map(|endpoint| EndpointSample {
            endpoint: endpoint.endpoint,
            method: endpoint.method,
            status: status(endpoint.status, endpoint.bytes_sent, with_bytes),
            latency: endpoint.latency.into(),
        })
        .collect();
    sample.backends = (counted.backends.into_iter())
        .map(|backend| BackendSample {
            host: backend.host,
            url_pattern: backend.url_pattern,
            calls: backend.calls,
            errors: backend.errors,
            timeouts: backend.timeouts,
            latency: backend.latency.into(),
        })
        .collect();
}

fn status(by_code: BTreeMap<u16, u64>, bytes_sent: u64, with_bytes: bool) -> Vec<(u16, u64)> {
    let bytes = (with_bytes && bytes_sent > 0).then_some((EndpointSample::BYTES_SENT, bytes_sent));
    by_code.into_iter().chain(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use krakend_gateway::Statistics;

    use super::*;

    #[test]
    fn bytes_go_along_only_to_managers_that_know_them() {
        let statistics = Statistics::new();
        statistics.record_request("/a", "GET", 200, Duration::from_millis(1), 12);
        let sampled = |with_bytes| {
            let mut sample = Sample {
                seq: 1,
                start_ms: 0,
                end_ms: 10_000,
                endpoints: Vec::new(),
                backends: Vec::new(),
                connections: 0,
                memory_bytes: 0,
                cpu_ms: 0,
                restarts: 0,
            };
            fill(&mut sample, statistics.snapshot(), with_bytes);
            sample.endpoints.remove(0).status
        };
        assert_eq!(sampled(true), [(200, 1), (EndpointSample::BYTES_SENT, 12)]);
        assert_eq!(sampled(false), [(200, 1)]);
    }
}
