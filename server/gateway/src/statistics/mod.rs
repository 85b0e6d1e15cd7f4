//! Counters and latency sketches of requests and backend calls, cumulative since the start.

mod series;
mod snapshot;

#[cfg(test)]
mod tests;

pub(crate) use series::{BackendSeries, EndpointSeries, Outcome};
pub use snapshot::{BackendStatistics, EndpointStatistics, StatisticsSnapshot, new_sketch};

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Where requests are counted that no endpoint answers.
pub const NO_ROUTE: &str = "(no route)";
/// Where everything beyond [`MAX_SERIES`] is counted.
pub const OTHER: &str = "(other)";
/// Most series of endpoints and of backends, each.
pub const MAX_SERIES: usize = 1_000;

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT",
];

type Key = (String, String);

/// What a gateway counts. Shared by everything that serves requests; never decreases.
#[derive(Debug, Default)]
pub struct Statistics {
    endpoints: RwLock<HashMap<Key, Arc<EndpointSeries>>>,
    backends: RwLock<HashMap<Key, Arc<BackendSeries>>>,
    connections: AtomicU64,
    open: AtomicU64,
    /// Connections already given out by [`Statistics::take_interval`]; its lock also makes takes follow one another.
    taken_connections: Mutex<u64>,
}

/// One open connection of a client.
#[derive(Debug)]
pub struct OpenConnection(Arc<Statistics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Statistics {
    /// Empty statistics.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Counts one answered request. `endpoint` is the configured pattern or [`NO_ROUTE`]; `bytes_sent` are those of the answer's body.
    pub fn record_request(
        &self,
        endpoint: &str,
        method: &str,
        status: u16,
        latency: Duration,
        bytes_sent: u64,
    ) {
        let series = self.endpoint(endpoint, method);
        series.record(status, latency, bytes_sent);
    }

    /// Counts one call of a backend: `error` when it gave no usable answer, `timeout` when that was for lack of time.
    pub fn record_backend(
        &self,
        host: &str,
        url_pattern: &str,
        error: bool,
        timeout: bool,
        latency: Duration,
    ) {
        let outcome = match (error, timeout) {
            (_, true) => Outcome::Timeout,
            (true, false) => Outcome::Error,
            (false, false) => Outcome::Answered,
        };
        self.backend(host, url_pattern).record(outcome, latency);
    }

    /// Counts one accepted client connection, open until the answer is dropped.
    pub fn record_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// Everything since the start, sorted by endpoint and by host.
    pub fn snapshot(&self) -> StatisticsSnapshot {
        let endpoints = values(&self.endpoints)
            .iter()
            .map(|series| series.total())
            .collect();
        let backends = values(&self.backends)
            .iter()
            .map(|series| series.total())
            .collect();
        StatisticsSnapshot {
            endpoints,
            backends,
            connections: self.connections.load(Ordering::Relaxed),
            open_connections: self.open.load(Ordering::Relaxed),
        }
        .sorted()
    }

    /// What came since the previous call (or the start); series without news are left out. For one caller: each take empties the interval.
    pub fn take_interval(&self) -> StatisticsSnapshot {
        let mut taken = self
            .taken_connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let endpoints = values(&self.endpoints)
            .iter()
            .filter_map(|series| series.take())
            .collect();
        let backends = values(&self.backends)
            .iter()
            .filter_map(|series| series.take())
            .collect();
        let now = self.connections.load(Ordering::Relaxed);
        let connections = now - std::mem::replace(&mut *taken, now);
        StatisticsSnapshot {
            endpoints,
            backends,
            connections,
            open_connections: self.open.load(Ordering::Relaxed),
        }
        .sorted()
    }

    /// The series of an endpoint; a route keeps it, so that a request needs no look-up.
    pub(crate) fn endpoint(&self, endpoint: &str, method: &str) -> Arc<EndpointSeries> {
        // Clients choose the method: only the known ones may become series.
        let method = METHODS
            .iter()
            .copied()
            .find(|known| *known == method)
            .unwrap_or(OTHER);
        series_of(&self.endpoints, endpoint, method, EndpointSeries::new)
    }

    pub(crate) fn backend(&self, host: &str, url_pattern: &str) -> Arc<BackendSeries> {
        series_of(&self.backends, host, url_pattern, BackendSeries::new)
    }
}

fn values<S>(map: &RwLock<HashMap<Key, Arc<S>>>) -> Vec<Arc<S>> {
    map.read()
        .unwrap_or_else(PoisonError::into_inner)
        .values()
        .cloned()
        .collect()
}

fn series_of<S>(
    map: &RwLock<HashMap<Key, Arc<S>>>,
    first: &str,
    second: &str,
    make: impl Fn(&str, &str) -> S,
) -> Arc<S> {
    let key = (first.to_owned(), second.to_owned());
    if let Some(series) = map.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return series.clone();
    }
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    // The last place is kept for the rest.
    let key = if map.len() + 1 < MAX_SERIES || map.contains_key(&key) {
        key
    } else {
        (OTHER.to_owned(), OTHER.to_owned())
    };
    let made = || Arc::new(make(&key.0, &key.1));
    map.entry(key.clone()).or_insert_with(made).clone()
}
