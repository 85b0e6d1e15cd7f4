use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets, in milliseconds; one more bucket takes the rest.
const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000];

/// How long the log's fsyncs took since the start. Nobody waits for whoever reads it.
#[derive(Debug, Default)]
pub(super) struct SyncMeter {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

/// What a [`SyncMeter`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncFigures {
    /// Fsyncs that took at most so many milliseconds, the shorter ones included; the last has no bound.
    pub at_most_ms: Vec<(Option<u64>, u64)>,
    /// Of all of them, in microseconds.
    pub sum_us: u64,
}

impl SyncMeter {
    pub(super) fn note(&self, took: Duration) {
        let ms = took.as_micros().div_ceil(1000);
        let at = BOUNDS_MS.iter().position(|bound| ms <= u128::from(*bound));
        self.buckets[at.unwrap_or(BOUNDS_MS.len())].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> SyncFigures {
        let mut count = 0;
        let bounds = BOUNDS_MS.iter().copied().map(Some).chain([None]);
        let at_most_ms = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| {
                count += bucket.load(Ordering::Relaxed);
                (bound, count)
            })
            .collect();
        SyncFigures {
            at_most_ms,
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fsync_counts_in_its_bucket_and_all_above() {
        let meter = SyncMeter::default();
        for us in [900, 1_000, 1_001, 7_000_000] {
            meter.note(Duration::from_micros(us));
        }
        let figures = meter.figures();
        assert_eq!(figures.sum_us, 7_002_901);
        assert_eq!(figures.at_most_ms[0], (Some(1), 2));
        assert_eq!(figures.at_most_ms[1], (Some(2), 3));
        assert_eq!(figures.at_most_ms.last(), Some(&(None, 4)));
    }
}
