//! From the API's windows to the lines of the three charts.

use krakend_api::{Latency, Statistics, StatisticsPoint};

use super::chart::{Chart, Moment, Sample, Series};
use super::clock;

/// Time after a window's end for which late batches are waited for before an open window is drawn.
const LATE_MS: i64 = 15_000;

/// Figures of this moment, from the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Now {
    pub requests_per_s: Option<f64>,
    pub errors_per_s: Option<f64>,
    pub latency: Latency,
}

impl Now {
    /// Share of requests that failed, from 0 to 1. Without a request there is no share.
    #[must_use]
    pub fn error_ratio(&self) -> Option<f64> {
        let requests = self.requests_per_s.filter(|r| *r > 0.0)?;
        Some((self.errors_per_s? / requests).clamp(0.0, 1.0))
    }
}

/// What the charts are made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub statistics: Option<&'a Statistics>,
    /// Absent while the stream is interrupted: then the line ends where data ends.
    pub now: Option<Now>,
    pub now_ms: i64,
    pub range_s: u32,
    pub offset_min: i64,
    pub moments: &'a [Moment],
}

impl Input<'_> {
    /// Requests per second: all, and those answered 4xx or 5xx.
    #[must_use]
    pub fn requests(&self) -> Chart {
        let all = self.samples(|p| Some(p.requests_per_s), |n| n.requests_per_s);
        let failed = self.samples(
            |p| {
                let seconds = p.duration_ms as f64 / 1000.0;
                let count = p.totals.status_4xx + p.totals.status_5xx;
                (seconds > 0.0).then(|| count as f64 / seconds)
            },
            |n| n.errors_per_s,
        );
        self.chart(
            false,
            vec![
                series("s-all", "", true, all),
                series("s-4xx", "", false, failed),
            ],
        )
    }

    /// Requests per second: all, those answered 4xx, those answered 5xx.
    #[must_use]
    pub fn by_status(&self) -> Chart {
        let of = |count: fn(&StatisticsPoint) -> u64| {
            self.samples(
                |p| {
                    let seconds = p.duration_ms as f64 / 1000.0;
                    (seconds > 0.0).then(|| count(p) as f64 / seconds)
                },
                |_| None,
            )
        };
        self.chart(
            false,
            vec![
                series("s-all", "", true, of(|p| p.totals.requests)),
                series("s-4xx", "", false, of(|p| p.totals.status_4xx)),
                series("s-5xx", "", false, of(|p| p.totals.status_5xx)),
            ],
        )
    }

    /// Share of failed requests in per cent.
    #[must_use]
    pub fn errors(&self) -> Chart {
        let share = self.samples(
            |p| p.error_ratio.map(|r| r * 100.0),
            |n| n.error_ratio().map(|r| r * 100.0),
        );
        self.chart(false, vec![series("s-5xx", "", true, share)])
    }

    /// Four percentiles in milliseconds.
    #[must_use]
    pub fn latency(&self) -> Chart {
        let of = |class, label, pick: fn(&Latency) -> Option<f64>| {
            let samples = self.samples(|p| pick(&p.latency), |n| pick(&n.latency));
            series(class, label, false, samples)
        };
        self.chart(
            true,
            vec![
                of("s-p50", "p50", |l| l.p50_ms),
                of("s-p90", "p90", |l| l.p90_ms),
                of("s-p99", "p99", |l| l.p99_ms),
                of("s-p999", "p99.9", |l| l.p999_ms),
            ],
        )
    }

    fn chart(&self, logarithmic: bool, series: Vec<Series>) -> Chart {
        Chart {
            from: self.now_ms - i64::from(self.range_s) * 1000,
            to: self.now_ms,
            logarithmic,
            series,
            moments: self.moments.to_vec(),
            offset_min: self.offset_min,
        }
    }

    /// Finished windows, then this moment's figure up to now. A window that still fills would show a dip that is none.
    fn samples(
        &self,
        of_point: impl Fn(&StatisticsPoint) -> Option<f64>,
        of_now: impl Fn(&Now) -> Option<f64>,
    ) -> Vec<Sample> {
        let points = self.statistics.map_or(&[][..], |s| &s.points);
        let mut out: Vec<Sample> = points
            .iter()
            .filter_map(|point| {
                let from = clock::parse(&point.start)?;
                let to = from + i64::try_from(point.duration_ms).ok()?;
                let settled = point.closed || to + LATE_MS <= self.now_ms;
                let value = of_point(point).filter(|v| v.is_finite());
                settled.then_some(Sample {
                    from,
                    to: to.min(self.now_ms),
                    value,
                })
            })
            .collect();
        if let Some(value) = self.now.as_ref().and_then(of_now) {
            let recent = self.now_ms - 120_000 - LATE_MS;
            let from = out
                .last()
                .map(|s| s.to)
                .filter(|end| *end >= recent)
                .or_else(|| points.last().and_then(|p| clock::parse(&p.start)))
                .unwrap_or(self.now_ms - 10_000)
                .clamp(recent, self.now_ms);
            out.push(Sample {
                from,
                to: self.now_ms,
                value: Some(value),
            });
        }
        out
    }
}

fn series(class: &'static str, label: &'static str, area: bool, samples: Vec<Sample>) -> Series {
    Series {
        class,
        label,
        area,
        samples,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::Totals;

    fn point(start: &str, closed: bool, rate: f64) -> StatisticsPoint {
        StatisticsPoint {
            start: start.to_owned(),
            duration_ms: 60_000,
            closed,
            totals: Totals {
                requests: 600,
                status_5xx: 60,
                ..Default::default()
            },
            requests_per_s: rate,
            error_ratio: Some(0.1),
            latency: Latency::default(),
            gap: false,
        }
    }

    fn statistics(points: Vec<StatisticsPoint>) -> Statistics {
        Statistics {
            fleet: "default".to_owned(),
            from: String::new(),
            to: String::new(),
            now_requests_per_s: None,
            now_errors_per_s: None,
            now_latency: Latency::default(),
            totals: Totals::default(),
            latency: Latency::default(),
            points,
            endpoints: Vec::new(),
            backends: Vec::new(),
            nodes: Vec::new(),
            step_ms: 60_000,
            endpoint_series: vec![],
            top_errors: vec![],
            process: vec![],
            detail: Default::default(),
        }
    }

    fn requests(statistics: &Statistics, now: Option<Now>) -> Vec<Sample> {
        let input = Input {
            statistics: Some(statistics),
            now,
            now_ms: clock::parse("2026-11-17T13:02:30Z").expect("valid"),
            range_s: 600,
            offset_min: 0,
            moments: &[],
        };
        input.requests().series.remove(0).samples
    }

    #[test]
    fn a_window_that_still_fills_is_replaced_by_the_live_figure() {
        let data = statistics(vec![
            point("2026-11-17T13:01:00Z", true, 10.0),
            point("2026-11-17T13:02:00Z", false, 3.0),
        ]);
        let now = Now {
            requests_per_s: Some(11.0),
            ..Default::default()
        };
        let values: Vec<_> = requests(&data, Some(now)).iter().map(|s| s.value).collect();
        assert_eq!(values, [Some(10.0), Some(11.0)]);
        let stale: Vec<_> = requests(&data, None).iter().map(|s| s.value).collect();
        assert_eq!(stale, [Some(10.0)]);
    }

    #[test]
    fn the_live_figure_shows_before_the_first_window_closes() {
        let data = statistics(vec![point("2026-11-17T13:02:00Z", false, 3.0)]);
        let now = Now {
            requests_per_s: Some(11.0),
            ..Default::default()
        };
        let samples = requests(&data, Some(now));
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].to - samples[0].from, 30_000);
    }

    #[test]
    fn without_requests_there_is_no_error_ratio() {
        assert_eq!(
            Now {
                errors_per_s: Some(0.0),
                requests_per_s: Some(0.0),
                ..Default::default()
            }
            .error_ratio(),
            None
        );
        let some = Now {
            errors_per_s: Some(1.0),
            requests_per_s: Some(4.0),
            ..Default::default()
        };
        assert_eq!(some.error_ratio(), Some(0.25));
    }
}
