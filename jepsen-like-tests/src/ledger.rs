//! The account of every request that was sent to a node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::documents::ENDPOINTS;

/// Failures beyond this many are counted, not kept.
const MAX_KEPT_FAILURES: usize = 200;

/// One answered request.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// When its answer was complete, UTC milliseconds.
    pub at_ms: u64,
    /// Index of the node.
    pub node: usize,
    /// Index in [`ENDPOINTS`].
    pub endpoint: usize,
    pub status: u16,
}

/// One request that did not end as it must.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub at: String,
    pub node: String,
    pub endpoint: &'static str,
    pub reason: String,
}

/// Shared by all that send requests.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    failed: u64,
    failures: Vec<Failure>,
    refused_connects: u64,
    clean_reconnects: u64,
}

impl Ledger {
    /// Notes an answer.
    pub fn answered(&self, node: usize, endpoint: usize, status: u16) {
        let at_ms = now_ms();
        self.lock().entries.push(Entry {
            at_ms,
            node,
            endpoint,
            status,
        });
    }

    /// Notes a failure. One that has an answer is noted as answered as well: the node counted it.
    pub fn failed(&self, node: &str, endpoint: usize, reason: String) {
        let at = jiff::Timestamp::now().to_string();
        let mut inner = self.lock();
        inner.failed += 1;
        if inner.failures.len() < MAX_KEPT_FAILURES {
            inner.failures.push(Failure {
                at,
                node: node.to_owned(),
                endpoint: ENDPOINTS[endpoint].pattern,
                reason,
            });
        }
    }

    /// A connection that a stopping node did not accept: no request was on it.
    pub fn refused_connect(&self) {
        self.lock().refused_connects += 1;
    }

    /// A connection that the server closed between two requests.
    pub fn clean_reconnect(&self) {
        self.lock().clean_reconnects += 1;
    }

    /// Failed requests so far.
    pub fn failed_requests(&self) -> u64 {
        self.lock().failed
    }

    /// The first failures.
    pub fn failures(&self) -> Vec<Failure> {
        self.lock().failures.clone()
    }

    /// See [`Ledger::refused_connect`].
    pub fn refused_connects(&self) -> u64 {
        self.lock().refused_connects
    }

    /// See [`Ledger::clean_reconnect`].
    pub fn clean_reconnects(&self) -> u64 {
        self.lock().clean_reconnects
    }

    /// Answered requests so far.
    pub fn answered_requests(&self) -> u64 {
        self.lock().entries.len() as u64
    }

    /// Every answered request.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// UTC milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
