//! What many latencies, or many kills, come down to.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency that is told apart, in microseconds; a request gives up long before.
const MAX_US: u64 = 120_000_000;

/// Latencies of one measurement.
#[derive(Debug)]
pub struct Recorder {
    latencies_us: Histogram<u64>,
    errors: u64,
    first_error: Option<String>,
}

/// One measurement: rate in requests a second, latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Requests that had no good answer; they are in none of the other figures.
    pub errors: u64,
}

/// From `kill -9` of the leader to the next acknowledged write, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Failover {
    pub median_s: f64,
    pub max_s: f64,
    pub kills: usize,
}

impl Recorder {
    /// Nothing recorded yet; latencies are kept to three digits.
    ///
    /// # Errors
    /// Never with these bounds.
    pub fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, MAX_US, 3);
        Ok(Self {
            latencies_us: histogram.context("make a histogram")?,
            errors: 0,
            first_error: None,
        })
    }

    /// One request and what came of it.
    pub fn record(&mut self, took: Duration, answered: Result<()>) {
        match answered {
            Ok(()) => {
                let us = u64::try_from(took.as_micros()).unwrap_or(MAX_US);
                self.latencies_us.saturating_record(us.max(1));
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    /// For people.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// What it comes down to when it was recorded in `window`.
    pub fn summary(&self, window: Duration) -> Summary {
        let ms = |quantile| self.latencies_us.value_at_quantile(quantile) as f64 / 1_000.0;
        Summary {
            per_s: round(self.latencies_us.len() as f64 / window.as_secs_f64(), 1),
            p50_ms: round(ms(0.50), 3),
            p99_ms: round(ms(0.99), 3),
            errors: self.errors,
        }
    }
}

impl Failover {
    /// Of the times that single kills took; nothing when there were none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let middle = times.len() / 2;
        let median = match times.len() % 2 {
            1 => times[middle],
            _ => (*times.get(middle.checked_sub(1)?)? + times[middle]) / 2,
        };
        Some(Self {
            median_s: round(median.as_secs_f64(), 3),
            max_s: round(times.last()?.as_secs_f64(), 3),
            kills: times.len(),
        })
    }
}

/// To so many decimal places.
fn round(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_percentiles_are_those_of_what_was_recorded() {
        let mut recorder = Recorder::new().expect("a recorder");
        for ms in 1..=1_000_u64 {
            recorder.record(Duration::from_millis(ms), Ok(()));
        }
        let summary = recorder.summary(Duration::from_secs(4));
        assert!((summary.per_s - 250.0).abs() < f64::EPSILON);
        assert!((summary.p50_ms - 500.0).abs() < 1.0, "{summary:?}");
        assert!((summary.p99_ms - 990.0).abs() < 1.0, "{summary:?}");
    }

    #[test]
    fn an_error_is_counted_and_is_no_request() {
        let mut recorder = Recorder::new().expect("a recorder");
        recorder.record(Duration::from_millis(2), Ok(()));
        recorder.record(Duration::from_secs(9), Err(anyhow::anyhow!("first")));
        recorder.record(Duration::from_secs(9), Err(anyhow::anyhow!("second")));
        let summary = recorder.summary(Duration::from_secs(1));
        assert_eq!(summary.errors, 2);
        assert!((summary.per_s - 1.0).abs() < f64::EPSILON);
        assert!(summary.p99_ms < 3.0);
        assert_eq!(recorder.first_error(), Some("first"));
    }

    #[test]
    fn nothing_recorded_is_a_rate_of_zero_and_latencies_beyond_all_bounds_are_kept() {
        let mut recorder = Recorder::new().expect("a recorder");
        let summary = recorder.summary(Duration::from_secs(1));
        assert!(summary.per_s.abs() < f64::EPSILON);
        recorder.record(Duration::from_secs(86_400), Ok(()));
        recorder.record(Duration::ZERO, Ok(()));
        let summary = recorder.summary(Duration::from_secs(1));
        assert!(summary.p99_ms >= 119_000.0, "{summary:?}");
    }

    #[test]
    fn the_median_of_kills_is_the_middle_or_between_the_two_middle_ones() {
        let of =
            |ms: &[u64]| Failover::of(ms.iter().map(|ms| Duration::from_millis(*ms)).collect());
        let odd = of(&[900, 100, 300]).expect("kills");
        assert_eq!((odd.median_s, odd.max_s, odd.kills), (0.3, 0.9, 3));
        let even = of(&[400, 100, 200, 800]).expect("kills");
        assert_eq!((even.median_s, even.max_s), (0.3, 0.8));
        assert_eq!(of(&[]), None);
    }
}
