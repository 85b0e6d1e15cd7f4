//! Rows of an answer: endpoints, backends, nodes, errors, and endpoints over time.

use std::collections::BTreeMap;

use super::query::{MAX_SERIES_STEPS, Order, Source, StatisticsQuery, Window};
use super::{Cells, HOUR_MS, Header, Kind, MINUTE_MS, Merged, OTHER_SERIES, Tier};
use crate::{Millis, NodeId};

const MAX_ERRORS: usize = 50;

/// An endpoint (and method) or a backend (host and URL pattern).
#[derive(Clone, Debug)]
pub struct Row {
    pub first: String,
    pub second: String,
    pub merged: Merged,
}

/// One endpoint over time.
#[derive(Clone, Debug)]
pub struct SeriesRow {
    pub first: String,
    pub second: String,
    pub steps: BTreeMap<Millis, Merged>,
}

/// An endpoint's answers of one status of 400 and above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    pub status: u64,
    pub endpoint: String,
    pub method: String,
    pub requests: u64,
}

/// One node over the range.
#[derive(Clone, Debug, Default)]
pub struct NodeRow {
    pub id: Option<NodeId>,
    pub merged: Merged,
    pub covered_ms: u64,
    /// Of the last hour; for the node that was asked for, or all of a small fleet.
    pub endpoints: Vec<Row>,
    pub backends: Vec<Row>,
}

/// What a node's processes used in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessStep {
    pub cpu_percent: f64,
    pub memory_bytes: u64,
    pub connections: u64,
    pub restarts: u64,
}

pub(super) fn sum(a: Header, b: Header) -> Header {
    Header {
        covered_ms: a.covered_ms + b.covered_ms,
        cpu_ms: a.cpu_ms + b.cpu_ms,
        memory_bytes: a.memory_bytes.max(b.memory_bytes),
        connections: a.connections.max(b.connections),
        restarts: a.restarts + b.restarts,
    }
}

/// Series by kind and names.
#[derive(Default)]
pub(super) struct Rows {
    all: Vec<(Kind, Row)>,
    index: BTreeMap<(Kind, String), BTreeMap<String, usize>>,
}

impl Rows {
    pub fn add_all(&mut self, source: &Source<'_>, windows: impl Iterator<Item = Window>) {
        // The next window has mostly the same series in the same order: the guess saves looking names up.
        for window in windows {
            let mut guess = 0;
            for cells in window.packed.series() {
                let wanted = match cells.kind {
                    Kind::Total => false,
                    Kind::Endpoint => source.takes_endpoint(cells.first, cells.second),
                    Kind::Backend => takes_backend(source.query, &cells),
                };
                if wanted {
                    let at = self.at(&cells, guess);
                    self.all[at].1.merged.add(&cells);
                    guess = at + 1;
                }
            }
        }
    }

    fn at(&mut self, cells: &Cells<'_>, guess: usize) -> usize {
        if let Some((kind, row)) = self.all.get(guess)
            && *kind == cells.kind
            && row.first == cells.first
            && row.second == cells.second
        {
            return guess;
        }
        let of_first = self.index.entry((cells.kind, cells.first.to_owned()));
        let of_first = of_first.or_default();
        if let Some(at) = of_first.get(cells.second) {
            return *at;
        }
        let row = Row {
            first: cells.first.into(),
            second: cells.second.into(),
            merged: Merged::default(),
        };
        of_first.insert(cells.second.into(), self.all.len());
        self.all.push((cells.kind, row));
        self.all.len() - 1
    }

    pub fn has_other(&self) -> bool {
        self.all.iter().any(|(_, row)| row.first == OTHER_SERIES)
    }

    /// In the query's order; beyond `top` summed as `(other)`. Without a bound by name.
    pub fn top(&self, kind: Kind, query: &StatisticsQuery) -> Vec<Row> {
        let of_kind = self.all.iter().filter(|(it, _)| *it == kind);
        let mut rows: Vec<Row> = of_kind.map(|(_, row)| row.clone()).collect();
        rows.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
        let Some(top) = query.top else {
            return rows;
        };
        let rank = |row: &Row| match query.order {
            Order::Requests => count(kind, &row.merged) as f64,
            Order::Errors => failures(kind, &row.merged) as f64,
            Order::P99 => row.merged.quantile(0.99).unwrap_or(0.0),
        };
        rows.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        if rows.len() > top {
            let mut rest = Row {
                first: OTHER_SERIES.into(),
                second: OTHER_SERIES.into(),
                merged: Merged::default(),
            };
            for row in rows.split_off(top) {
                rest.merged.merge(&row.merged);
            }
            match rows.iter_mut().find(|row| row.first == OTHER_SERIES) {
                Some(other) => other.merged.merge(&rest.merged),
                None => rows.push(rest),
            }
        }
        rows
    }
}

fn takes_backend(query: &StatisticsQuery, cells: &Cells<'_>) -> bool {
    let wanted = query.backend.as_deref();
    wanted.is_none_or(|wanted| wanted == cells.first || wanted == cells.second)
}

fn count(kind: Kind, merged: &Merged) -> u64 {
    match kind {
        Kind::Backend => merged.counter(Cells::CALLS),
        _ => merged.requests(),
    }
}

fn failures(kind: Kind, merged: &Merged) -> u64 {
    match kind {
        Kind::Backend => merged.counter(Cells::ERRORS),
        _ => merged.class(5),
    }
}

/// The most frequent statuses of 400 and above.
pub(super) fn errors(rows: &Rows) -> Vec<ErrorRow> {
    let mut out = Vec::new();
    for (kind, row) in &rows.all {
        if *kind != Kind::Endpoint {
            continue;
        }
        let bad = row.merged.statuses().filter(|(code, _)| *code >= 400);
        out.extend(bad.map(|(code, requests)| ErrorRow {
            status: code,
            endpoint: row.first.clone(),
            method: row.second.clone(),
            requests,
        }));
    }
    out.sort_by(|a, b| {
        let key = |row: &ErrorRow| (row.status, row.endpoint.clone(), row.method.clone());
        b.requests
            .cmp(&a.requests)
            .then_with(|| key(a).cmp(&key(b)))
    });
    out.truncate(MAX_ERRORS);
    out
}

/// These endpoints over time, in steps of the query, or as many of them together as keep the answer small.
pub(super) fn series(source: &Source<'_>, names: &[(String, String)]) -> (u64, Vec<SeriesRow>) {
    let query = source.query;
    let steps = (query.to_ms - query.from_ms).div_ceil(query.step_ms).max(1);
    let step_ms = query.step_ms * steps.div_ceil(MAX_SERIES_STEPS);
    let mut rows: Vec<SeriesRow> = names
        .iter()
        .map(|(first, second)| SeriesRow {
            first: first.clone(),
            second: second.clone(),
            steps: BTreeMap::new(),
        })
        .collect();
    let mut wanted: Vec<(&str, &str, usize)> = (names.iter().enumerate())
        .map(|(at, (first, second))| (first.as_str(), second.as_str(), at))
        .collect();
    wanted.sort_unstable();
    let spans = source.spans(query.step_ms);
    let windows: Box<dyn Iterator<Item = Window> + '_> = match query.node {
        Some(node) => Box::new(source.details(node)),
        None => Box::new(source.windows(&spans, None)),
    };
    for window in windows {
        let start = source.step_of(window.start_ms, step_ms);
        for (at, cells) in window.packed.endpoints(&wanted) {
            rows[at].steps.entry(start).or_default().add(&cells);
        }
    }
    (step_ms, rows)
}

/// Each node's totals, in order of their ids.
pub(super) fn nodes(source: &Source<'_>, small: usize) -> Vec<NodeRow> {
    let query = source.query;
    let spans = source.spans(HOUR_MS);
    let mut rows: BTreeMap<NodeId, NodeRow> = BTreeMap::new();
    let mut add = |id: NodeId, packed: &super::Packed| {
        let row = rows.entry(id).or_default();
        row.id = Some(id);
        row.covered_ms += packed.header().covered_ms;
        if let Some(cells) = packed.find(Kind::Total, "", "") {
            row.merged.add(&cells);
        }
    };
    match query.node {
        Some(node) => {
            for window in source.windows(&spans, Some(node)) {
                add(node, &window.packed);
            }
        }
        None => {
            for (from, to, tier) in runs(&spans) {
                let windows = source.state.windows_from(tier, from);
                for (key, packed) in windows.take_while(|(key, _)| key.start_ms < to) {
                    if key.fleet == query.fleet {
                        add(key.node_id, packed);
                    }
                }
            }
            let old = source
                .state
                .old_windows(&query.fleet, query.from_ms, query.to_ms);
            for (key, packed) in old {
                add(key.node_id, &packed);
            }
        }
    }
    let told = query.node.is_some() || rows.len() <= small;
    for (id, row) in &mut rows {
        if told {
            let mut detail = Rows::default();
            detail.add_all(source, source.details(*id));
            row.endpoints = detail.top(Kind::Endpoint, query);
            row.backends = detail.top(Kind::Backend, query);
        }
    }
    rows.into_values().collect()
}

/// Neighbouring spans of one length as ranges.
fn runs(spans: &[(Millis, u64)]) -> Vec<(Millis, Millis, Tier)> {
    let mut out: Vec<(Millis, Millis, Tier)> = Vec::new();
    for (start, length) in spans {
        let tier = match *length == HOUR_MS {
            true => Tier::NodeHour,
            false => Tier::NodeMinute,
        };
        match out.last_mut() {
            Some((_, end, last)) if *last == tier && *end == *start => *end = start + length,
            _ => out.push((*start, start + length, tier)),
        }
    }
    out
}

/// What a node's processes used over time.
pub(super) fn process(source: &Source<'_>, node: NodeId) -> Vec<(Millis, ProcessStep)> {
    let step_ms = source.query.step_ms.max(MINUTE_MS);
    let spans = source.spans(step_ms);
    let mut steps: BTreeMap<Millis, Header> = BTreeMap::new();
    for window in source.windows(&spans, Some(node)) {
        let step = steps.entry(source.step_of(window.start_ms, step_ms));
        let step = step.or_default();
        *step = sum(*step, window.packed.header());
    }
    let shown = |it: &Header| ProcessStep {
        cpu_percent: 100.0 * it.cpu_ms as f64 / it.covered_ms.max(1) as f64,
        memory_bytes: it.memory_bytes,
        connections: it.connections,
        restarts: it.restarts,
    };
    steps
        .iter()
        .map(|(start, it)| (*start, shown(it)))
        .collect()
}
