//! Geometry of the line charts: from windows of statistics to SVG paths at real pixels.

use super::scale::{Axis, linear_ticks, log_ticks, tick_label, time_ticks};

/// One value over a stretch of time. A missing value breaks the line and is hatched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub from: i64,
    pub to: i64,
    pub value: Option<f64>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Class of the line; colour, width and dash come from the style sheet.
    pub class: &'static str,
    /// Written at the line's end; empty for none.
    pub label: &'static str,
    pub area: bool,
    pub samples: Vec<Sample>,
}

/// A moment worth a dotted line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: i64,
    pub kind: MomentKind,
    pub title: String,
}

/// What a dotted line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentKind {
    Trouble,
    Published,
}

/// What to draw, before it has pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub from: i64,
    pub to: i64,
    pub logarithmic: bool,
    pub series: Vec<Series>,
    pub moments: Vec<Moment>,
    pub offset_min: i64,
}

/// A path of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnSeries {
    pub class: &'static str,
    pub line: String,
    /// Empty without an area.
    pub area: String,
    /// Label and its pixel height.
    pub end: Option<(&'static str, f64)>,
}

/// A chart in pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    pub y_ticks: Vec<(f64, String)>,
    pub x_ticks: Vec<(f64, String)>,
    pub series: Vec<DrawnSeries>,
    /// Left edge and width of what is missing.
    pub hatches: Vec<(f64, f64)>,
    pub moments: Vec<(f64, Moment)>,
    pub from: i64,
    pub to: i64,
}

impl Drawing {
    /// The time under a pixel, inside the plot.
    #[must_use]
    pub fn time_at(&self, x: f64) -> Option<i64> {
        if self.right <= self.left || x < self.left - 2.0 || x > self.right + 2.0 {
            return None;
        }
        let share = ((x - self.left) / (self.right - self.left)).clamp(0.0, 1.0);
        Some(self.from + (share * (self.to - self.from) as f64) as i64)
    }

    /// The pixel of a time, when it is inside the plot.
    #[must_use]
    pub fn x_of(&self, at: i64) -> Option<f64> {
        (self.from..=self.to)
            .contains(&at)
            .then(|| time_axis(self.from, self.to, self.left, self.right).at(at as f64))
    }
}

impl Chart {
    /// Lays the chart out in `width` by `height` pixels.
    #[must_use]
    pub fn draw(&self, width: f64, height: f64) -> Drawing {
        let has_labels = self.series.iter().any(|s| !s.label.is_empty());
        let (top, bottom) = (12.0, (height - 22.0).max(20.0));
        let y_values = self.y_ticks();
        let labels: Vec<String> = y_values
            .iter()
            .map(|v| tick_label(*v, !self.logarithmic))
            .collect();
        let longest = labels.iter().map(String::len).max().unwrap_or(1);
        let left = 12.0 + 6.4 * longest as f64;
        let right = (width - if has_labels { 40.0 } else { 2.0 }).max(left + 1.0);
        let y = Axis {
            min: y_values.first().copied().unwrap_or(0.0),
            max: self.y_max(&y_values),
            from_px: bottom,
            to_px: top,
            logarithmic: self.logarithmic,
        };
        let x = time_axis(self.from, self.to, left, right);
        let wanted = (((right - left) / 56.0) as usize).max(2);
        let mut series: Vec<DrawnSeries> = self
            .series
            .iter()
            .map(|s| draw_series(s, &x, &y, bottom))
            .collect();
        spread_labels(&mut series, top, bottom);
        Drawing {
            width,
            height,
            left,
            right,
            top,
            bottom,
            y_ticks: y_values.iter().map(|v| y.at(*v)).zip(labels).collect(),
            x_ticks: time_ticks(self.from, self.to, wanted, self.offset_min)
                .into_iter()
                .map(|t| (x.at(t as f64), self.time_label(t)))
                .filter(|(px, _)| *px >= left + 14.0 && *px <= right - 12.0)
                .collect(),
            series,
            hatches: self.hatches(&x),
            moments: self
                .moments
                .iter()
                .filter(|m| (self.from..=self.to).contains(&m.at))
                .map(|m| (x.at(m.at as f64), m.clone()))
                .collect(),
            from: self.from,
            to: self.to,
        }
    }

    /// Every step's begin with the value of each series, oldest first.
    #[must_use]
    pub fn rows(&self) -> Vec<(i64, Vec<Option<f64>>)> {
        let mut times: Vec<i64> = self
            .series
            .iter()
            .flat_map(|s| &s.samples)
            .map(|s| s.from)
            .filter(|at| (self.from..=self.to).contains(at))
            .collect();
        super::order::sort_by(&mut times, i64::cmp);
        times.dedup();
        let values = |at: i64| self.series.iter().map(|s| s.value_at(at)).collect();
        times.into_iter().map(|at| (at, values(at))).collect()
    }

    /// A logarithmic axis ends a little above the data, not at the next power of ten.
    fn y_max(&self, ticks: &[f64]) -> f64 {
        let last = ticks.last().copied().unwrap_or(1.0);
        if !self.logarithmic {
            return last;
        }
        last.max(self.largest() * 1.25)
    }

    fn largest(&self) -> f64 {
        let samples = self.series.iter().flat_map(|s| &s.samples);
        samples
            .filter_map(|s| s.value)
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max)
    }

    fn time_label(&self, at: i64) -> String {
        super::clock::Zone {
            offset_min: self.offset_min,
        }
        .minutes(at)
    }

    fn y_ticks(&self) -> Vec<f64> {
        let values = || {
            self.series
                .iter()
                .flat_map(|s| &s.samples)
                .filter_map(|s| s.value)
                .filter(|v| v.is_finite())
        };
        let max = self.largest();
        if self.logarithmic {
            let min = values().filter(|v| *v > 0.0).fold(f64::MAX, f64::min);
            if max > 0.0 {
                log_ticks(min, max)
            } else {
                log_ticks(1.0, 100.0)
            }
        } else {
            linear_ticks(max)
        }
    }

    /// Stretches without a value after the first one, in pixels. What lies before the first is not missing: nothing ran yet.
    fn hatches(&self, x: &Axis) -> Vec<(f64, f64)> {
        let Some(first) = self.series.first() else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut covered: Option<i64> = None;
        for sample in first.samples.iter().filter(|s| s.value.is_some()) {
            if let Some(end) = covered
                && sample.from > end + 1000
            {
                out.push((x.at(end as f64), x.at(sample.from as f64)));
            }
            covered = Some(covered.unwrap_or(sample.to).max(sample.to));
        }
        if let Some(end) = covered
            && end + 1000 < self.to
        {
            out.push((x.at(end as f64), x.at(self.to as f64)));
        }
        out.into_iter()
            .map(|(from, to)| (from, to - from))
            .filter(|(_, width)| *width >= 3.0)
            .collect()
    }
}

impl Series {
    /// The word for readers: the label, or what its class stands for.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if !self.label.is_empty() {
            return self.label;
        }
        match self.class {
            "s-all" => "all",
            "s-4xx" => "failed",
            "s-5xx" => "5xx",
            other => other,
        }
    }

    /// The value that holds at a time.
    #[must_use]
    pub fn value_at(&self, at: i64) -> Option<f64> {
        self.samples
            .iter()
            .find(|s| (s.from..s.to).contains(&at))
            .and_then(|s| s.value)
    }
}

fn time_axis(from: i64, to: i64, left: f64, right: f64) -> Axis {
    Axis {
        min: from as f64,
        max: to.max(from + 1) as f64,
        from_px: left,
        to_px: right,
        logarithmic: false,
    }
}

/// Stretches of samples that touch each other.
fn runs(samples: &[Sample]) -> Vec<Vec<(Sample, f64)>> {
    let mut runs: Vec<Vec<(Sample, f64)>> = Vec::new();
    let mut end = None;
    for sample in samples {
        let Some(value) = sample.value.filter(|v| v.is_finite()) else {
            end = None;
            continue;
        };
        let touches = end.is_some_and(|end: i64| sample.from <= end + 1000);
        match runs.last_mut() {
            Some(run) if touches => run.push((*sample, value)),
            _ => runs.push(vec![(*sample, value)]),
        }
        end = Some(sample.to);
    }
    runs
}

fn draw_series(series: &Series, x: &Axis, y: &Axis, bottom: f64) -> DrawnSeries {
    let (mut line, mut area, mut last) = (String::new(), String::new(), None);
    for run in runs(&series.samples) {
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(run.len() + 2);
        if let Some((first, value)) = run.first() {
            points.push((x.at(first.from as f64), y.at(*value)));
        }
        for (sample, value) in &run {
            let middle = (sample.from as f64 + sample.to as f64) / 2.0;
            points.push((x.at(middle), y.at(*value)));
        }
        if let Some((end, value)) = run.last() {
            points.push((x.at(end.to as f64), y.at(*value)));
        }
        let stretch = polyline(&points);
        if let (true, Some(first), Some(end)) = (series.area, points.first(), points.last()) {
            area.push_str(&format!(
                "{stretch}L{:.1} {bottom:.1}L{:.1} {bottom:.1}Z",
                end.0, first.0
            ));
        }
        line.push_str(&stretch);
        last = points.last().map(|p| p.1);
    }
    DrawnSeries {
        class: series.class,
        line,
        area,
        end: last
            .filter(|_| !series.label.is_empty())
            .map(|y| (series.label, y)),
    }
}

/// Keeps labels at the lines' ends 13 px apart, in the lines' order.
fn spread_labels(series: &mut [DrawnSeries], top: f64, bottom: f64) {
    const APART: f64 = 13.0;
    let mut order: Vec<usize> = (0..series.len())
        .filter(|i| series[*i].end.is_some())
        .collect();
    let height = |s: &DrawnSeries| s.end.map_or(0.0, |e| e.1);
    // Percentiles are ordered; on equal heights the later series lies higher.
    super::order::sort_by(&mut order, |a, b| {
        height(&series[*a])
            .total_cmp(&height(&series[*b]))
            .then(b.cmp(a))
    });
    let mut floor = top + 2.0;
    for index in &order {
        if let Some(end) = &mut series[*index].end {
            end.1 = end.1.max(floor);
            floor = end.1 + APART;
        }
    }
    let mut ceiling = bottom;
    for index in order.iter().rev() {
        if let Some(end) = &mut series[*index].end {
            end.1 = end.1.min(ceiling);
            ceiling = end.1 - APART;
        }
    }
}

/// `M0.0 1.0L…`, rounded to a tenth of a pixel.
#[must_use]
pub fn polyline(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 12);
    for (at, (x, y)) in points.iter().enumerate() {
        let letter = if at == 0 { 'M' } else { 'L' };
        out.push_str(&format!("{letter}{x:.1} {y:.1}"));
    }
    out
}

/// Line of a node's recent rates in a box of `width` by `height`; gaps stay gaps.
#[must_use]
pub fn sparkline(values: &[Option<f64>], width: f64, height: f64) -> String {
    let known = || values.iter().flatten().copied().filter(|v| v.is_finite());
    let (min, max) = known().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    let step = width / (values.len().max(2) - 1) as f64;
    let mut out = String::new();
    let mut run: Vec<(f64, f64)> = Vec::new();
    // A nearly flat rate must look flat, so the range is at least a fifth of the value.
    let range = (max - min).max(max.abs() * 0.2).max(1e-9);
    let middle = (max + min) / 2.0;
    for (at, value) in values.iter().enumerate() {
        match value.filter(|v| v.is_finite()) {
            Some(v) => {
                let share = ((v - middle) / range + 0.5).clamp(0.0, 1.0);
                run.push((at as f64 * step, height - 1.0 - share * (height - 2.0)));
            }
            None => out.push_str(&polyline(&std::mem::take(&mut run))),
        }
    }
    out.push_str(&polyline(&run));
    out
}

#[cfg(test)]
mod tests;
