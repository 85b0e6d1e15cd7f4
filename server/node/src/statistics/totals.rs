use std::sync::atomic::{AtomicU64, Ordering};

use krakend_gateway::StatisticsSnapshot;

/// What the gateway counted since this program started, as of the newest sample. For the node's own `/metrics`.
#[derive(Debug, Default)]
pub struct Totals {
    /// By the first digit of the status.
    requests: [AtomicU64; 6],
    connections: AtomicU64,
    open_connections: AtomicU64,
    backend_errors: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Totals {
    pub fn add(&self, counted: &StatisticsSnapshot) {
        for endpoint in &counted.endpoints {
            for (status, count) in &endpoint.status {
                let class = usize::from(status / 100).min(5);
                self.requests[class].fetch_add(*count, Ordering::Relaxed);
            }
        }
        let bytes = counted.endpoints.iter().map(|it| it.bytes_sent).sum();
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        let errors = counted.backends.iter().map(|backend| backend.errors).sum();
        self.backend_errors.fetch_add(errors, Ordering::Relaxed);
        self.connections
            .fetch_add(counted.connections, Ordering::Relaxed);
        self.open_connections
            .store(counted.open_connections, Ordering::Relaxed);
    }

    /// Requests by class of status: `2xx` and so on.
    pub fn requests(&self) -> impl Iterator<Item = (String, u64)> {
        let classes = self.requests.iter().enumerate().skip(1);
        classes.map(|(class, count)| (format!("{class}xx"), count.load(Ordering::Relaxed)))
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn open_connections(&self) -> u64 {
        self.open_connections.load(Ordering::Relaxed)
    }

    /// Bytes of answers' bodies.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    pub fn backend_errors(&self) -> u64 {
        self.backend_errors.load(Ordering::Relaxed)
    }
}
