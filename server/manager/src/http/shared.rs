//! What the handlers share: bounds on what waits, and counters.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{limits::Limits, watch::Watch};

/// Writes at a time that wait for their answer.
const MAX_WRITES: usize = 4_096;
/// Blocking reads at a time.
const MAX_WAITING: usize = 1_000;
/// Event streams at a time.
const MAX_STREAMS: usize = 1_000;

/// Shared by all requests.
#[derive(Debug)]
pub struct Shared {
    pub watch: Watch,
    pub writes: Bound,
    pub waiting: Bound,
    pub streams: Bound,
    pub limits: Limits,
    pub counters: Counters,
}

/// At most so many of something at a time.
#[derive(Debug)]
pub struct Bound {
    permits: Arc<Semaphore>,
    limit: usize,
}

/// Requests by what became of them, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub reads_linearizable: AtomicU64,
    pub reads_stale: AtomicU64,
    pub reads_failed: AtomicU64,
    pub reads_forwarded: AtomicU64,
    pub writes_done: AtomicU64,
    pub writes_replayed: AtomicU64,
    pub writes_rejected: AtomicU64,
    pub writes_indeterminate: AtomicU64,
    pub writes_failed: AtomicU64,
    pub writes_forwarded: AtomicU64,
    pub readers_dropped: Arc<AtomicU64>,
    pub streams_gone: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            watch: Watch::default(),
            writes: Bound::new(MAX_WRITES),
            waiting: Bound::new(MAX_WAITING),
            streams: Bound::new(MAX_STREAMS),
            limits: Limits::default(),
            counters: Counters::default(),
        }
    }
}

impl Bound {
    pub fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// A place, given back when it is dropped; `None` when all are taken.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn taken(&self) -> usize {
        self.limit - self.permits.available_permits()
    }
}

/// Counts one more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_left_is_free_again_and_there_is_none_beyond_the_limit() {
        let bound = Bound::new(2);
        let first = bound.enter().expect("a place");
        let _second = bound.enter().expect("a place");
        assert!(bound.enter().is_none());
        drop(first);
        assert_eq!(bound.taken(), 1);
        assert!(bound.enter().is_some());
    }
}
