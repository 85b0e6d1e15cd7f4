//! Statistics: what was asked, and the answer in the API's shapes. What is found and how is `krakend_domain`'s.

use axum::{
    extract::{Query, State},
    response::Response,
};
use krakend_api as api;
use krakend_domain::{
    Cells, ClusterState, FleetName, MINUTE_MS, Merged, NodeId, NodeRow, NodeState, Order,
    RecentSample, Row, SeriesRow, Sketch, StatisticsAnswer, StatisticsQuery as Asked, StepFigures,
    Topic, plan_step, query_statistics,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    access::Viewer,
    present::latency,
    problem::Failure,
    read::{Read, answer, view},
};
use crate::{
    app::App,
    clock::{self, parse_rfc3339, rfc3339},
    duration::parse_duration,
};

/// A node that has not reported for this long is left out of the live figures.
const LIVE_WITHIN_MS: u64 = 60_000;
const MAX_TOP: usize = 2_000;
const MAX_RANGE_S: u64 = 31 * 86_400;

/// Query of the statistics.
#[derive(Debug, Deserialize)]
pub struct StatisticsQuery {
    #[serde(default = "default_fleet")]
    fleet: String,
    node: Option<Uuid>,
    endpoint: Option<String>,
    method: Option<String>,
    backend: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// Instead of `from` and `to`: the last so many seconds.
    range_s: Option<u64>,
    step: Option<String>,
    top: Option<usize>,
    order: Option<String>,
}

fn default_fleet() -> String {
    "default".into()
}

pub async fn query(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<StatisticsQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let now = clock::now_ms();
    let asked = understood(query, now)?;
    let view = view(&app, &read, &[Topic::Statistics]).await?;
    let state = view.state.clone();
    // A month of a large fleet takes a moment: not on a thread that answers others.
    let found = tokio::task::spawn_blocking(move || {
        let found = query_statistics(&state, &asked);
        shown(&state, &asked, &found, now)
    });
    let body = found.await.map_err(|error| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Failure::new(status, "internal", error.to_string())
    })?;
    Ok(answer(&view, body))
}

fn understood(query: StatisticsQuery, now: u64) -> Result<Asked, Failure> {
    let fleet: FleetName =
        query
            .fleet
            .parse()
            .map_err(|error: krakend_domain::FleetNameError| {
                Failure::bad_request("bad-fleet-name", error.to_string())
            })?;
    let to = time("to", query.to.as_deref())?.unwrap_or(now + MINUTE_MS);
    let range = query.range_s.unwrap_or(3_600).min(MAX_RANGE_S) * 1000;
    let from = time("from", query.from.as_deref())?.unwrap_or(to.saturating_sub(range + MINUTE_MS));
    let step = query.step.as_deref().map(step).transpose()?;
    let (from_ms, to_ms, step_ms) = plan_step((from, to), step, now)
        .map_err(|error| Failure::bad_request("bad-range", error.to_string()))?;
    let order = match query.order.as_deref() {
        None | Some("requests") => Order::Requests,
        Some("errors") => Order::Errors,
        Some("p99") => Order::P99,
        Some(other) => {
            return Err(Failure::bad_request(
                "bad-order",
                format!("`order` is {other:?}: take requests, errors or p99"),
            ));
        }
    };
    if query.top.is_some_and(|top| top == 0 || top > MAX_TOP) {
        return Err(Failure::bad_request(
            "bad-top",
            format!("`top` is 1 to {MAX_TOP}"),
        ));
    }
    Ok(Asked {
        fleet,
        node: query.node.map(NodeId),
        endpoint: query.endpoint,
        method: query.method,
        backend: query.backend,
        from_ms,
        to_ms,
        step_ms,
        top: query.top,
        order,
    })
}

fn step(text: &str) -> Result<u64, Failure> {
    let parsed = parse_duration(text);
    let parsed =
        parsed.map_err(|error| Failure::bad_request("bad-step", format!("`step`: {error}")))?;
    Ok(parsed.saturating_mul(1000))
}

fn time(name: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    text.map(|text| {
        parse_rfc3339(text).ok_or_else(|| {
            Failure::bad_request("bad-time", format!("{name} {text:?} is not RFC 3339"))
        })
    })
    .transpose()
}

/// Figures of the newest samples over the fleet: rate, errors, latency.
pub fn live(
    state: &ClusterState,
    fleet: &FleetName,
    now: u64,
) -> (Option<f64>, Option<f64>, Sketch) {
    live_of(state, fleet, None, now)
}

fn live_of(
    state: &ClusterState,
    fleet: &FleetName,
    only: Option<NodeId>,
    now: u64,
) -> (Option<f64>, Option<f64>, Sketch) {
    let (mut requests, mut errors, mut any) = (0.0, 0.0, false);
    let mut sketch = Sketch::default();
    let newest = state
        .nodes()
        .filter(|node| node.fleet == *fleet && node.state == NodeState::Active)
        .filter(|node| only.is_none_or(|only| only == node.id))
        .filter_map(|node| state.recent(node.id)?.back())
        .filter(|sample: &&RecentSample| now.saturating_sub(sample.end_ms) < LIVE_WITHIN_MS);
    for sample in newest {
        let seconds = sample.end_ms.saturating_sub(sample.start_ms).max(1) as f64 / 1000.0;
        requests += sample.requests as f64 / seconds;
        errors += sample.errors as f64 / seconds;
        sketch.merge(&sample.latency);
        any = true;
    }
    (any.then_some(requests), any.then_some(errors), sketch)
}

fn shown(
    state: &ClusterState,
    asked: &Asked,
    found: &StatisticsAnswer,
    now: u64,
) -> api::Statistics {
    let (now_requests_per_s, now_errors_per_s, now_sketch) =
        live_of(state, &asked.fleet, asked.node, now);
    let reported = Reported::of(state, asked);
    let process = found.process.iter().map(|(start, it)| api::ProcessPoint {
        start: rfc3339(*start),
        cpu_percent: Some(it.cpu_percent),
        memory_bytes: (it.memory_bytes > 0).then_some(it.memory_bytes),
        connections: Some(it.connections),
        restarts: u32::try_from(it.restarts).unwrap_or(u32::MAX),
    });
    let errors = found.top_errors.iter().map(|row| api::ErrorTotals {
        status: u16::try_from(row.status).unwrap_or(0),
        endpoint: row.endpoint.clone(),
        method: row.method.clone(),
        requests: row.requests,
    });
    api::Statistics {
        fleet: asked.fleet.to_string(),
        from: rfc3339(asked.from_ms),
        to: rfc3339(asked.to_ms),
        now_requests_per_s,
        now_errors_per_s,
        now_latency: latency(&now_sketch),
        totals: totals(&found.total),
        latency: merged_latency(&found.total),
        points: (found.steps.iter())
            .map(|(start, step)| point(&reported, *start, found.step_ms, step, now))
            .collect(),
        endpoints: found.endpoints.iter().map(endpoint).collect(),
        backends: found.backends.iter().map(backend).collect(),
        nodes: (found.nodes.iter())
            .filter_map(|row| node(state, row, (asked.from_ms, asked.to_ms.min(now))))
            .collect(),
        step_ms: found.step_ms,
        endpoint_series: found.endpoint_series.iter().map(series).collect(),
        top_errors: errors.collect(),
        process: process.collect(),
        detail: api::StatisticsDetail {
            series_step_ms: found.series_step_ms,
            endpoints_from: found.detail_from_ms.map(rfc3339),
            other: found.has_other,
        },
    }
}

/// The percentiles that are told.
pub fn merged_latency(merged: &Merged) -> api::Latency {
    api::Latency {
        p50_ms: merged.quantile(0.5),
        p90_ms: merged.quantile(0.9),
        p99_ms: merged.quantile(0.99),
        p999_ms: merged.quantile(0.999),
    }
}

fn totals(merged: &Merged) -> api::Totals {
    api::Totals {
        requests: merged.requests(),
        status_2xx: merged.class(2),
        status_3xx: merged.class(3),
        status_4xx: merged.class(4),
        status_5xx: merged.class(5),
        bytes_sent: merged.bytes_sent(),
    }
}

fn endpoint(row: &Row) -> api::EndpointTotals {
    api::EndpointTotals {
        endpoint: row.first.clone(),
        method: row.second.clone(),
        totals: totals(&row.merged),
        latency: merged_latency(&row.merged),
    }
}

fn backend(row: &Row) -> api::BackendTotals {
    api::BackendTotals {
        host: row.first.clone(),
        url_pattern: row.second.clone(),
        calls: row.merged.counter(Cells::CALLS),
        errors: row.merged.counter(Cells::ERRORS),
        timeouts: row.merged.counter(Cells::TIMEOUTS),
        latency: merged_latency(&row.merged),
    }
}

fn series(row: &SeriesRow) -> api::EndpointSeries {
    let point = |(start, merged): (&u64, &Merged)| api::SeriesPoint {
        start: rfc3339(*start),
        requests: merged.requests(),
        errors: merged.class(5),
        latency: merged_latency(merged),
    };
    api::EndpointSeries {
        endpoint: row.first.clone(),
        method: row.second.clone(),
        points: row.steps.iter().map(point).collect(),
    }
}

/// When the nodes that should report joined, and up to when they have reported.
struct Reported(Vec<(u64, u64)>);

impl Reported {
    fn of(state: &ClusterState, asked: &Asked) -> Self {
        let nodes = state.nodes();
        let nodes = nodes.filter(|node| {
            node.fleet == asked.fleet
                && node.state == NodeState::Active
                && asked.node.is_none_or(|only| only == node.id)
        });
        Self(
            nodes
                .map(|node| (node.joined_ms, node.reported_until_ms.unwrap_or(0)))
                .collect(),
        )
    }

    fn is_late(&self, end_ms: u64) -> bool {
        let all = self.0.iter();
        all.clone()
            .any(|(joined, until)| *joined < end_ms && *until < end_ms)
    }
}

fn point(
    reported: &Reported,
    start_ms: u64,
    step_ms: u64,
    step: &StepFigures,
    now: u64,
) -> api::StatisticsPoint {
    let end_ms = start_ms + step_ms;
    let totals = totals(&step.merged);
    let late = reported.is_late(end_ms);
    let elapsed_ms = now.min(end_ms).saturating_sub(start_ms).max(1);
    api::StatisticsPoint {
        start: rfc3339(start_ms),
        duration_ms: step_ms,
        closed: now >= end_ms && !late,
        totals,
        requests_per_s: totals.requests as f64 * 1000.0 / elapsed_ms as f64,
        error_ratio: (totals.requests > 0)
            .then(|| totals.status_5xx as f64 / totals.requests as f64),
        latency: merged_latency(&step.merged),
        gap: now > end_ms + LIVE_WITHIN_MS / 2 && late,
    }
}

fn node(state: &ClusterState, row: &NodeRow, (from, to): (u64, u64)) -> Option<api::NodeTotals> {
    let id = row.id?;
    let record = state.node(id);
    let reported = record.and_then(|record| record.reported_until_ms);
    // Between joining and its newest report a node should have covered everything; what it did not is a gap.
    let begin = record.map_or(from, |record| record.joined_ms.max(from));
    let end = reported.map_or(begin, |reported| reported.min(to));
    let missing_ms = end.saturating_sub(begin).saturating_sub(row.covered_ms);
    Some(api::NodeTotals {
        node_id: id.to_string(),
        totals: totals(&row.merged),
        latency: merged_latency(&row.merged),
        endpoints: row.endpoints.iter().map(endpoint).collect(),
        backends: row.backends.iter().map(backend).collect(),
        missing_ms,
        reported_until: reported.map(rfc3339),
    })
}
