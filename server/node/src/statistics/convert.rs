use krakend_domain::{BackendSample, EndpointSample, Sample};
use krakend_gateway::StatisticsSnapshot;

/// Moves an interval's counters into a sample.
pub fn fill(sample: &mut Sample, counted: StatisticsSnapshot) {
    sample.connections = counted.open_connections;
    sample.endpoints = (counted.endpoints.into_iter())
        .map(|endpoint| EndpointSample {
            endpoint: endpoint.endpoint,
            method: endpoint.method,
            status: endpoint.status.into_iter().collect(),
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
