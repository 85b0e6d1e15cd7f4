//! One row of the statistics, with its total and what has not been taken yet.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::snapshot::{BackendStatistics, EndpointStatistics, new_sketch};

/// Sketches cannot be subtracted, so the open interval is kept beside the total.
struct Both<T> {
    total: T,
    interval: T,
}

/// The requests of one endpoint and method.
pub struct EndpointSeries {
    rows: Mutex<Both<EndpointStatistics>>,
}

/// The calls of one backend.
pub struct BackendSeries {
    rows: Mutex<Both<BackendStatistics>>,
}

/// How a backend's call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The client went away first, which is not the backend's fault.
    Abandoned,
    Error,
    Timeout,
}

impl EndpointSeries {
    pub fn new(endpoint: &str, method: &str) -> Self {
        let empty = empty_endpoint(endpoint, method);
        EndpointSeries {
            rows: Mutex::new(Both {
                total: empty.clone(),
                interval: empty,
            }),
        }
    }

    pub fn record(&self, status: u16, latency: Duration, bytes_sent: u64) {
        let mut rows = lock(&self.rows);
        let Both { total, interval } = &mut *rows;
        for row in [total, interval] {
            *row.status.entry(status).or_default() += 1;
            row.bytes_sent += bytes_sent;
            row.latency.add(millis(latency));
        }
    }

    pub fn total(&self) -> EndpointStatistics {
        lock(&self.rows).total.clone()
    }

    pub fn take(&self) -> Option<EndpointStatistics> {
        let mut rows = lock(&self.rows);
        if rows.interval.status.is_empty() {
            return None;
        }
        let empty = empty_endpoint(&rows.total.endpoint, &rows.total.method);
        Some(std::mem::replace(&mut rows.interval, empty))
    }
}

impl BackendSeries {
    pub fn new(host: &str, url_pattern: &str) -> Self {
        let empty = empty_backend(host, url_pattern);
        BackendSeries {
            rows: Mutex::new(Both {
                total: empty.clone(),
                interval: empty,
            }),
        }
    }

    pub fn record(&self, outcome: Outcome, latency: Duration) {
        let mut rows = lock(&self.rows);
        let Both { total, interval } = &mut *rows;
        for row in [total, interval] {
            row.calls += 1;
            row.errors += u64::from(matches!(outcome, Outcome::Error | Outcome::Timeout));
            row.timeouts += u64::from(outcome == Outcome::Timeout);
            row.latency.add(millis(latency));
        }
    }

    pub fn total(&self) -> BackendStatistics {
        lock(&self.rows).total.clone()
    }

    pub fn take(&self) -> Option<BackendStatistics> {
        let mut rows = lock(&self.rows);
        if rows.interval.calls == 0 {
            return None;
        }
        let empty = empty_backend(&rows.total.host, &rows.total.url_pattern);
        Some(std::mem::replace(&mut rows.interval, empty))
    }
}

impl fmt::Debug for EndpointSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.total().fmt(f)
    }
}

impl fmt::Debug for BackendSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.total().fmt(f)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic between two additions leaves numbers, not broken structures.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}

fn empty_endpoint(endpoint: &str, method: &str) -> EndpointStatistics {
    EndpointStatistics {
        endpoint: endpoint.to_owned(),
        method: method.to_owned(),
        status: Default::default(),
        bytes_sent: 0,
        latency: new_sketch(),
    }
}

fn empty_backend(host: &str, url_pattern: &str) -> BackendStatistics {
    BackendStatistics {
        host: host.to_owned(),
        url_pattern: url_pattern.to_owned(),
        calls: 0,
        errors: 0,
        timeouts: 0,
        latency: new_sketch(),
    }
}
