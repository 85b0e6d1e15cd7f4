//! Heat strips: one cell a step, coloured by fixed limits, so that two screens can be compared.

use krakend_api::{EndpointSeries, SeriesPoint};

use super::clock;

/// Upper limits of the first five colours, in milliseconds.
pub const LIMITS_MS: [f64; 5] = [50.0, 100.0, 200.0, 400.0, 800.0];
/// The same for shares of failed requests, in per cent.
pub const LIMITS_PERCENT: [f64; 5] = [0.1, 0.5, 1.0, 5.0, 20.0];

/// What the colour stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    #[default]
    P99,
    Errors,
    Rate,
}

/// One cell of a strip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub x: f64,
    pub width: f64,
    /// 0 to 5.
    pub level: u8,
}

/// Which of the six colours a value has.
#[must_use]
pub fn level(value: f64, limits: &[f64; 5]) -> u8 {
    limits.iter().take_while(|limit| value >= **limit).count() as u8
}

/// Cells of one endpoint between two times; steps without requests stay empty.
#[must_use]
pub fn cells(
    series: &EndpointSeries,
    measure: Measure,
    step_ms: u64,
    range: (i64, i64),
    width: f64,
) -> Vec<Cell> {
    let (from, to) = range;
    let span = (to - from).max(1) as f64;
    let step = step_ms.max(1) as f64;
    let most = series.points.iter().map(|p| p.requests).max().unwrap_or(0);
    series
        .points
        .iter()
        .filter_map(|point| {
            let start = clock::parse(&point.start)?;
            let x = (start - from) as f64 / span * width;
            let end = (x + step / span * width).min(width);
            let x = x.max(0.0);
            let level = measured(point, measure, most)?;
            (end > x && start < to).then_some(Cell {
                x,
                // A gap of a pixel tells steps apart, while they are wide enough.
                width: (end - x - if end - x > 3.0 { 1.0 } else { 0.0 }).max(0.5),
                level,
            })
        })
        .collect()
}

fn measured(point: &SeriesPoint, measure: Measure, most: u64) -> Option<u8> {
    if point.requests == 0 {
        return None;
    }
    match measure {
        Measure::P99 => point.latency.p99_ms.map(|ms| level(ms, &LIMITS_MS)),
        Measure::Errors => {
            let percent = point.errors as f64 / point.requests as f64 * 100.0;
            Some(level(percent, &LIMITS_PERCENT))
        }
        Measure::Rate => {
            let share = point.requests as f64 / most.max(1) as f64;
            Some((share * 5.0).round() as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::Latency;

    fn point(start: &str, requests: u64, p99_ms: f64) -> SeriesPoint {
        SeriesPoint {
            start: start.to_owned(),
            requests,
            errors: requests / 10,
            latency: Latency {
                p99_ms: Some(p99_ms),
                ..Latency::default()
            },
        }
    }

    #[test]
    fn limits_are_fixed_and_a_limit_belongs_to_the_hotter_side() {
        let levels: Vec<u8> = [0.0, 49.9, 50.0, 399.0, 400.0, 5000.0]
            .map(|ms| level(ms, &LIMITS_MS))
            .to_vec();
        assert_eq!(levels, [0, 0, 1, 3, 4, 5]);
    }

    #[test]
    fn cells_lie_where_their_time_is_and_empty_steps_stay_empty() {
        let from = clock::parse("2026-11-17T13:00:00Z").expect("valid");
        let series = EndpointSeries {
            endpoint: "/a".to_owned(),
            method: "GET".to_owned(),
            points: vec![
                point("2026-11-17T13:00:00Z", 10, 30.0),
                point("2026-11-17T13:01:00Z", 0, 30.0),
                point("2026-11-17T13:09:00Z", 5, 900.0),
            ],
        };
        let range = (from, from + 600_000);
        let cells_p99 = cells(&series, Measure::P99, 60_000, range, 240.0);
        assert_eq!(cells_p99.len(), 2);
        assert_eq!((cells_p99[0].x, cells_p99[0].width), (0.0, 23.0));
        assert_eq!((cells_p99[1].x, cells_p99[1].level), (216.0, 5));
        let rate = cells(&series, Measure::Rate, 60_000, range, 240.0);
        assert_eq!((rate[0].level, rate[1].level), (5, 3));
    }
}
