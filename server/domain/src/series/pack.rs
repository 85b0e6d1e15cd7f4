//! Samples, and minutes as they were stored before, as windows.

use std::collections::BTreeMap;

use super::bins::bins;
use super::merged::Merged;
use super::packed::{Cells, Header, Kind, Packed, Writer, write_body};
use crate::{NodeWindow, Sample, Sketch};

type Series<'a> = BTreeMap<(Kind, &'a str, &'a str), Merged>;

impl Packed {
    /// What one sample adds to its windows.
    pub fn of_sample(sample: &Sample) -> Self {
        let mut series = Series::new();
        for it in &sample.endpoints {
            let key = (Kind::Endpoint, it.endpoint.as_str(), it.method.as_str());
            let counters = it.status.iter().map(|(code, n)| (u64::from(*code), *n));
            add(&mut series, key, counters, &it.latency);
        }
        for it in &sample.backends {
            let key = (Kind::Backend, it.host.as_str(), it.url_pattern.as_str());
            let counters = calls(it.calls, it.errors, it.timeouts);
            add(&mut series, key, counters, &it.latency);
        }
        let header = Header {
            covered_ms: sample.end_ms.saturating_sub(sample.start_ms),
            cpu_ms: sample.cpu_ms,
            memory_bytes: sample.memory_bytes,
            connections: sample.connections,
            restarts: u64::from(sample.restarts),
        };
        finish(header, series)
    }

    /// A minute of a node as groups below feature level 5 store it.
    pub fn of_window(window: &NodeWindow) -> Self {
        let mut series = Series::new();
        for ((endpoint, method), cell) in &window.endpoints {
            let key = (Kind::Endpoint, endpoint.as_str(), method.as_str());
            let counters = cell.status.iter().map(|(code, n)| (u64::from(*code), *n));
            add(&mut series, key, counters, &cell.latency);
        }
        for ((host, pattern), cell) in &window.backends {
            let key = (Kind::Backend, host.as_str(), pattern.as_str());
            let counters = calls(cell.calls, cell.errors, cell.timeouts);
            add(&mut series, key, counters, &cell.latency);
        }
        let header = Header {
            covered_ms: window.covered_ms,
            restarts: u64::from(window.restarts),
            ..Header::default()
        };
        finish(header, series)
    }
}

fn calls(calls: u64, errors: u64, timeouts: u64) -> impl Iterator<Item = (u64, u64)> {
    let all = [
        (Cells::CALLS, calls),
        (Cells::ERRORS, errors),
        (Cells::TIMEOUTS, timeouts),
    ];
    all.into_iter().filter(|(_, count)| *count > 0)
}

fn add<'a>(
    series: &mut Series<'a>,
    key: (Kind, &'a str, &'a str),
    counters: impl Iterator<Item = (u64, u64)>,
    latency: &Sketch,
) {
    let merged = series.entry(key).or_default();
    for (id, count) in counters {
        merged.count(id, count);
    }
    merged.add_bins(&bins(latency));
}

fn finish(header: Header, series: Series<'_>) -> Packed {
    let mut total = Merged::default();
    for ((kind, ..), merged) in &series {
        if *kind == Kind::Endpoint {
            total.merge(merged);
        }
    }
    let mut writer = Writer::new(header);
    let mut body = Vec::new();
    let all =
        std::iter::once(((Kind::Total, "", ""), &total)).chain(series.iter().map(|(k, v)| (*k, v)));
    for (key, merged) in all {
        body.clear();
        let sums = (merged.sum_us, merged.zeros);
        write_body(&merged.counters, sums, &merged.bins(), &mut body);
        writer.series(key, &body);
    }
    writer.finish()
}
