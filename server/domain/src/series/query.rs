//! Answers from windows. Whole hours that are folded are read from the hours' windows, the edges from minutes.

use std::collections::BTreeMap;

use super::query_rows::{
    ErrorRow, NodeRow, ProcessStep, Row, Rows, SeriesRow, errors, nodes, process, series,
};
use super::{HOUR_MS, Header, Kind, MINUTE_MS, Merged, Packed, SeriesKey, Tier, floor};
use crate::{ClusterState, FleetName, Millis, NodeId};

/// The longest range.
const MAX_RANGE_MS: u64 = 31 * 24 * HOUR_MS;
/// Steps of an answer.
const MAX_STEPS: u64 = 1_500;
/// Endpoints that are shown over time, and steps of each.
const MAX_SERIES: usize = 20;
pub(super) const MAX_SERIES_STEPS: u64 = 120;
/// A fleet of so many nodes has each node's endpoints told without asking for the node.
const SMALL_FLEET: usize = 10;

/// What rows are ordered by, the highest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Requests,
    Errors,
    P99,
}

/// What is asked. Ranges are widened to whole steps.
#[derive(Clone, Debug)]
pub struct StatisticsQuery {
    pub fleet: FleetName,
    pub node: Option<NodeId>,
    pub endpoint: Option<String>,
    pub method: Option<String>,
    /// Host or URL pattern of a backend.
    pub backend: Option<String>,
    pub from_ms: Millis,
    pub to_ms: Millis,
    /// As [`plan_step`] gives it.
    pub step_ms: u64,
    /// Rows of endpoints and of backends; the rest is summed.
    pub top: Option<usize>,
    pub order: Order,
}

/// A range or step that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("`from` must lie before `to`")]
    Empty,
    #[error("the range is longer than 31 days: hours are kept for 30 days")]
    TooLong,
    #[error("`step` must be a multiple of {}: windows of this range are that long", if *.0 == HOUR_MS { "1h" } else { "60s" })]
    Step(u64),
    #[error("these are {0} steps, more than {MAX_STEPS}: take a longer `step` or a shorter range")]
    TooManySteps(u64),
}

/// One step of the range.
#[derive(Clone, Debug, Default)]
pub struct StepFigures {
    pub merged: Merged,
    pub header: Header,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct StatisticsAnswer {
    pub step_ms: u64,
    pub total: Merged,
    /// By start of the step; steps without data are absent.
    pub steps: BTreeMap<Millis, StepFigures>,
    pub endpoints: Vec<Row>,
    pub backends: Vec<Row>,
    pub nodes: Vec<NodeRow>,
    /// Length of the steps of `endpoint_series`.
    pub series_step_ms: u64,
    pub endpoint_series: Vec<SeriesRow>,
    pub top_errors: Vec<ErrorRow>,
    pub process: Vec<(Millis, ProcessStep)>,
    /// Where a node is asked for: endpoints and backends are known from here on.
    pub detail_from_ms: Option<Millis>,
    /// Whether series were summed as `(other)` on a node or in a window.
    pub has_other: bool,
}

/// Range and step that fit to the windows that are left: minutes for a day, hours before.
pub fn plan_step(
    (from, to): (Millis, Millis),
    step_ms: Option<u64>,
    now: Millis,
) -> Result<(Millis, Millis, u64), QueryError> {
    if from >= to {
        return Err(QueryError::Empty);
    }
    if to - from > MAX_RANGE_MS {
        return Err(QueryError::TooLong);
    }
    let day = 24 * HOUR_MS;
    // A little slack: whoever asks for the last day means it.
    let finest = match from + day + 2 * MINUTE_MS >= now && to - from <= day + 2 * MINUTE_MS {
        true => MINUTE_MS,
        false => HOUR_MS,
    };
    let step = step_ms.unwrap_or(finest);
    if step == 0 || !step.is_multiple_of(finest) {
        return Err(QueryError::Step(finest));
    }
    let from = floor(from, finest);
    let to = to.div_ceil(finest) * finest;
    let steps = (to - from).div_ceil(step);
    if steps > MAX_STEPS {
        return Err(QueryError::TooManySteps(steps));
    }
    Ok((from, to, step))
}

/// One window that the range covers.
pub(super) struct Window {
    pub start_ms: Millis,
    pub packed: Packed,
}

/// Where a range's windows come from.
pub(super) struct Source<'a> {
    pub state: &'a ClusterState,
    pub query: &'a StatisticsQuery,
}

impl Source<'_> {
    /// Hours for what is folded into them, minutes for the rest, as (start, length) in order.
    pub fn spans(&self, least_step_ms: u64) -> Vec<(Millis, u64)> {
        let query = self.query;
        let folded = self.state.series_meta().folded_until_ms;
        let mut out = Vec::new();
        let mut at = query.from_ms;
        while at < query.to_ms {
            let whole = at.is_multiple_of(HOUR_MS) && at + HOUR_MS <= query.to_ms.min(folded);
            // Where the step is an hour the range is whole hours, and minutes that are left stand in for an open one.
            let length = match whole && least_step_ms.is_multiple_of(HOUR_MS) {
                true => HOUR_MS,
                false => MINUTE_MS,
            };
            out.push((at, length));
            at += length;
        }
        out
    }

    fn tier(&self, length: u64, of_node: bool) -> Tier {
        match (length == HOUR_MS, of_node) {
            (true, true) => Tier::NodeHour,
            (false, true) => Tier::NodeMinute,
            (true, false) => Tier::FleetHour,
            (false, false) => Tier::FleetMinute,
        }
    }

    /// The fleet's windows over these spans, or one node's totals.
    pub fn windows<'b>(
        &'b self,
        spans: &'b [(Millis, u64)],
        node: Option<NodeId>,
    ) -> impl Iterator<Item = Window> + 'b {
        let query = self.query;
        let stored = spans.iter().filter_map(move |(start_ms, length)| {
            let tier = self.tier(*length, node.is_some());
            let key = match node {
                Some(node) => SeriesKey::of_node(tier, *start_ms, &query.fleet, node),
                None => SeriesKey::of_fleet(tier, *start_ms, &query.fleet),
            };
            let packed = self.state.series(&key)?.clone();
            Some(Window {
                start_ms: *start_ms,
                packed,
            })
        });
        stored.chain(self.old(node))
    }

    /// Endpoints and backends of one node, as far back as they are kept.
    pub fn details<'b>(&'b self, node: NodeId) -> impl Iterator<Item = Window> + 'b {
        let query = self.query;
        let minutes = (query.from_ms..query.to_ms).step_by(MINUTE_MS as usize);
        let stored = minutes.filter_map(move |start_ms| {
            let key = SeriesKey::of_node(Tier::NodeDetail, start_ms, &query.fleet, node);
            let packed = self.state.series(&key)?.clone();
            Some(Window { start_ms, packed })
        });
        stored.chain(self.old(Some(node)))
    }

    /// What was stored below feature level 5 and is not taken over yet.
    fn old(&self, node: Option<NodeId>) -> impl Iterator<Item = Window> {
        let query = self.query;
        let old = self
            .state
            .old_windows(&query.fleet, query.from_ms, query.to_ms);
        let old = old.filter(move |(key, _)| node.is_none_or(|node| node == key.node_id));
        old.map(|(key, packed)| Window {
            start_ms: key.start_ms,
            packed,
        })
    }

    /// Start of the step that a window lies in.
    pub fn step_of(&self, start_ms: Millis, step_ms: u64) -> Millis {
        let from = self.query.from_ms;
        from + (start_ms.saturating_sub(from)) / step_ms * step_ms
    }

    /// Whether the filters let an endpoint through.
    pub fn takes_endpoint(&self, first: &str, second: &str) -> bool {
        let is = |wanted: &Option<String>, it: &str| wanted.as_ref().is_none_or(|want| want == it);
        is(&self.query.endpoint, first) && is(&self.query.method, second)
    }

    fn is_filtered(&self) -> bool {
        self.query.endpoint.is_some() || self.query.method.is_some()
    }
}

/// Answers. Costs grow with the windows of the range, not with the fleet, but for the nodes' own totals.
pub fn query_statistics(state: &ClusterState, query: &StatisticsQuery) -> StatisticsAnswer {
    let source = Source { state, query };
    let mut answer = StatisticsAnswer {
        step_ms: query.step_ms,
        ..StatisticsAnswer::default()
    };
    steps(&source, &mut answer);
    let mut rows = Rows::default();
    match query.node {
        Some(node) => {
            let hour = state.meta().time_ms.saturating_sub(HOUR_MS);
            answer.detail_from_ms = Some(query.from_ms.max(floor(hour, MINUTE_MS)));
            let windows = source.details(node);
            rows.add_all(&source, windows);
        }
        None => {
            let spans = source.spans(HOUR_MS);
            rows.add_all(&source, source.windows(&spans, None));
        }
    }
    answer.has_other = rows.has_other();
    answer.top_errors = errors(&rows);
    answer.endpoints = rows.top(Kind::Endpoint, query);
    answer.backends = rows.top(Kind::Backend, query);
    let mut shown: Vec<_> = answer.endpoints.iter().collect();
    if query.top.is_none() {
        shown.sort_by_key(|row| std::cmp::Reverse(row.merged.requests()));
    }
    let shown = shown.into_iter().take(MAX_SERIES);
    let shown: Vec<_> = shown
        .map(|row| (row.first.clone(), row.second.clone()))
        .collect();
    (answer.series_step_ms, answer.endpoint_series) = series(&source, &shown);
    answer.nodes = nodes(&source, SMALL_FLEET);
    if let Some(node) = query.node {
        answer.process = process(&source, node);
    }
    answer
}

/// Totals over time: of the fleet, of a node, or of the endpoints that the filters let through.
fn steps(source: &Source<'_>, answer: &mut StatisticsAnswer) {
    let query = source.query;
    let spans = source.spans(query.step_ms);
    let filtered = source.is_filtered();
    let windows: Box<dyn Iterator<Item = Window> + '_> = match (query.node, filtered) {
        (Some(node), true) => Box::new(source.details(node)),
        (node, _) => Box::new(source.windows(&spans, node)),
    };
    for window in windows {
        let start = source.step_of(window.start_ms, query.step_ms);
        let step = answer.steps.entry(start).or_default();
        step.header = super::query_rows::sum(step.header, window.packed.header());
        if filtered {
            for cells in window.packed.series() {
                if cells.kind == Kind::Endpoint && source.takes_endpoint(cells.first, cells.second)
                {
                    step.merged.add(&cells);
                }
            }
        } else if let Some(cells) = window.packed.find(Kind::Total, "", "") {
            step.merged.add(&cells);
        }
    }
    for step in answer.steps.values() {
        answer.total.merge(&step.merged);
    }
}
