//! KrakenD's `/__stats`: cumulative counters of one process turned into what
//! is new since the last read.
//!
//! Keys are flat, and the backend's name inside them may hold dots, so they
//! are taken apart from both ends.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

const COUNTER: &str = "krakend.proxy.requests.layer.backend.name.";
const LATENCY: &str = "krakend.proxy.latency.layer.backend.name.";
/// Quantiles KrakenD shows for each histogram.
const QUANTILES: [(f64, &str); 7] = [
    (0.0, "min"),
    (0.5, "50-percentile"),
    (0.75, "75-percentile"),
    (0.95, "95-percentile"),
    (0.99, "99-percentile"),
    (0.999, "999-percentile"),
    (1.0, "max"),
];

/// Calls of one backend since the last read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackendCalls {
    /// The name in `/__stats`.
    pub(crate) name: String,
    /// Whether these calls failed.
    pub(crate) error: bool,
    /// How many.
    pub(crate) calls: u64,
    /// How long they took, as far as KrakenD says.
    pub(crate) latency: Spread,
}

/// A latency distribution as points of its quantile function, nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spread(Vec<(f64, f64)>);

impl Spread {
    /// The latency of call `index` of `calls`, spread evenly over the quantiles.
    pub(crate) fn at(&self, index: u64, calls: u64) -> Duration {
        let q = (index as f64 + 0.5) / calls.max(1) as f64;
        let after = self.0.partition_point(|&(p, _)| p < q);
        let nanos = match (
            after.checked_sub(1).and_then(|i| self.0.get(i)),
            self.0.get(after),
        ) {
            (Some(&(p0, v0)), Some(&(p1, v1))) if p1 > p0 => v0 + (v1 - v0) * (q - p0) / (p1 - p0),
            (_, Some(&(_, v))) | (Some(&(_, v)), None) => v,
            (None, None) => 0.0,
        };
        Duration::from_nanos(nanos.max(0.0) as u64)
    }
}

/// What was already read from one process.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counters: HashMap<String, u64>,
    /// The last distribution seen under each label: KrakenD empties its
    /// histograms now and then, and a read just after that finds none.
    spreads: HashMap<String, Spread>,
}

impl Ledger {
    /// What is new in `stats`; remembers it.
    pub(crate) fn advance(&mut self, stats: &Map<String, Value>) -> Vec<BackendCalls> {
        let mut new = Vec::new();
        for (key, value) in stats {
            let Some(label) = key.strip_prefix(COUNTER) else {
                continue;
            };
            let Some((name, error)) = split_label(label) else {
                continue;
            };
            let Some(count) = value.as_u64() else {
                continue;
            };
            if let Some(spread) = read_spread(stats, label) {
                self.spreads.insert(label.to_owned(), spread);
            }
            let before = self.counters.insert(label.to_owned(), count).unwrap_or(0);
            let calls = count.saturating_sub(before);
            if calls > 0 {
                new.push(BackendCalls {
                    name: name.to_owned(),
                    error,
                    calls,
                    latency: self.spreads.get(label).cloned().unwrap_or_default(),
                });
            }
        }
        new
    }
}

/// `<name>.complete.<bool>.error.<bool>`: the name, and whether it failed.
fn split_label(label: &str) -> Option<(&str, bool)> {
    let (rest, error) = label.rsplit_once(".error.")?;
    let (name, complete) = rest.rsplit_once(".complete.")?;
    complete.parse::<bool>().ok()?;
    Some((name, error.parse().ok()?))
}

fn read_spread(stats: &Map<String, Value>, label: &str) -> Option<Spread> {
    let field = |name: &str| stats.get(&format!("{LATENCY}{label}.{name}"))?.as_f64();
    if field("count")? < 1.0 {
        return None;
    }
    let points = QUANTILES.iter().map(|&(q, name)| Some((q, field(name)?)));
    points.collect::<Option<Vec<_>>>().map(Spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_name_with_dots_is_taken_apart_from_both_ends() {
        let label = "/a.complete.true/b.json.complete.true.error.false";
        assert_eq!(split_label(label), Some(("/a.complete.true/b.json", false)));
        assert_eq!(split_label("/a.complete.true"), None);
    }

    #[test]
    fn only_what_is_new_is_reported_and_never_less_than_nothing() {
        let key = format!("{COUNTER}/a.complete.true.error.false");
        let mut ledger = Ledger::default();
        let read = |ledger: &mut Ledger, n: u64| -> Vec<u64> {
            let calls = ledger.advance(&stats(&format!("{{\"{key}\":{n}}}")));
            calls.iter().map(|c| c.calls).collect()
        };
        assert_eq!(read(&mut ledger, 3), [3]);
        assert_eq!(read(&mut ledger, 3), [] as [u64; 0]);
        assert_eq!(read(&mut ledger, 8), [5]);
        assert_eq!(read(&mut ledger, 2), [] as [u64; 0]);
    }

    #[test]
    fn latencies_follow_the_quantiles() {
        let spread = Spread(vec![(0.0, 0.0), (0.5, 100.0), (1.0, 300.0)]);
        assert_eq!(spread.at(0, 1), Duration::from_nanos(100));
        assert_eq!(spread.at(3, 4), Duration::from_nanos(250));
        assert_eq!(Spread::default().at(0, 1), Duration::ZERO);
    }
}
