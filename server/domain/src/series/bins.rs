//! The bins of a DDSketch. The crate does not show them, but its stored form does, which is on disk and on the wire already.

use serde::Deserialize;
use sketches_ddsketch::Config;

use crate::Sketch;

/// Keys beyond these mean no latency: 1e-9 ms and 31 years.
const KEYS: std::ops::RangeInclusive<i32> = -1_100..=1_500;

/// The stored form, field by field.
#[derive(Deserialize)]
struct Stored {
    config: (u32, f64, f64, f64, i32),
    positive: Store,
    negative: Store,
    _min: f64,
    _max: f64,
    sum: f64,
    zeros: u64,
}

#[derive(Deserialize)]
struct Store {
    bins: Vec<u64>,
    count: u64,
    _min_key: i32,
    _max_key: i32,
    offset: i32,
    _limit: usize,
    _collapsed: bool,
}

/// What is kept of a sketch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bins {
    pub sum_us: u64,
    pub zeros: u64,
    /// Keys in order, no empty bins.
    pub bins: Vec<(i32, u64)>,
}

/// Empty for a sketch of another resolution: its counters still count.
pub(super) fn bins(sketch: &Sketch) -> Bins {
    let stored = postcard::to_stdvec(sketch).ok();
    let stored: Option<Stored> = stored.and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let Some(stored) = stored.filter(|it| it.config.1 == Config::defaults().gamma) else {
        return Bins::default();
    };
    let mut out = Bins {
        sum_us: (stored.sum.max(0.0) * 1000.0).round() as u64,
        // A latency below nothing is a clock's step.
        zeros: stored.zeros + stored.negative.count,
        bins: Vec::new(),
    };
    for (at, count) in stored.positive.bins.iter().enumerate() {
        if *count == 0 {
            continue;
        }
        let key = i32::try_from(at).unwrap_or(i32::MAX);
        let key = key.saturating_add(stored.positive.offset);
        let key = key.clamp(*KEYS.start(), *KEYS.end());
        match out.bins.last_mut() {
            Some((last, sum)) if *last == key => *sum += count,
            _ => out.bins.push((key, *count)),
        }
    }
    out
}

/// The value that a bin stands for, in milliseconds.
pub(super) fn value(key: i32) -> f64 {
    Config::defaults().value(key)
}

/// The lowest key whose values lie above `milliseconds`.
pub(super) fn key_above(milliseconds: f64) -> i32 {
    Config::defaults().key(milliseconds)
}
