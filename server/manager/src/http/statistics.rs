use std::collections::BTreeMap;

use axum::{
    extract::{Query, State},
    response::Response,
};
use krakend_api as api;
use krakend_domain::{
    BackendCell, ClusterState, EndpointCell, FleetName, NodeId, NodeState, NodeWindow,
    RecentSample, Sketch, Topic, WINDOW_MS,
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
};

/// A node that has not reported for this long is left out of the live figures.
const LIVE_WITHIN_MS: u64 = 60_000;
const MAX_RANGE_MS: u64 = 25 * 3_600_000;

/// Query of the statistics.
#[derive(Debug, Deserialize)]
pub struct StatisticsQuery {
    #[serde(default = "default_fleet")]
    fleet: String,
    node: Option<Uuid>,
    from: Option<String>,
    to: Option<String>,
    /// Instead of `from` and `to`: the last so many seconds.
    range_s: Option<u64>,
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
    let fleet: FleetName =
        query
            .fleet
            .parse()
            .map_err(|error: krakend_domain::FleetNameError| {
                Failure::bad_request("bad-fleet-name", error.to_string())
            })?;
    let now = clock::now_ms();
    let to = time("to", query.to.as_deref())?.unwrap_or(now + WINDOW_MS);
    let range = query.range_s.unwrap_or(3_600).saturating_mul(1000);
    let from = time("from", query.from.as_deref())?.unwrap_or(to.saturating_sub(range + WINDOW_MS));
    if to <= from || to - from > MAX_RANGE_MS {
        return Err(Failure::bad_request(
            "bad-range",
            "`from` must lie before `to`, at most 24 hours: minute windows are kept for a day",
        ));
    }
    let view = view(&app, &read, &[Topic::Statistics]).await?;
    let body = collect(&view.state, &fleet, query.node.map(NodeId), (from, to), now);
    Ok(answer(&view, body))
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
    let (mut requests, mut errors, mut any) = (0.0, 0.0, false);
    let mut sketch = Sketch::default();
    let newest = state
        .nodes()
        .filter(|node| node.fleet == *fleet && node.state == NodeState::Active)
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

/// Answers a range from its windows. Percentiles come from merged sketches.
pub fn collect(
    state: &ClusterState,
    fleet: &FleetName,
    only: Option<NodeId>,
    (from, to): (u64, u64),
    now: u64,
) -> api::Statistics {
    let mut points: BTreeMap<u64, NodeWindow> = BTreeMap::new();
    let mut nodes: BTreeMap<NodeId, NodeWindow> = BTreeMap::new();
    let mut whole = NodeWindow::default();
    let from_window = from - from % WINDOW_MS;
    for (key, window) in state.windows(fleet, from_window, to) {
        if only.is_some_and(|only| only != key.node_id) {
            continue;
        }
        merge(points.entry(key.start_ms).or_default(), window);
        merge(nodes.entry(key.node_id).or_default(), window);
        merge(&mut whole, window);
    }
    let (now_requests_per_s, now_errors_per_s, now_sketch) = live(state, fleet, now);
    let (totals, sketch) = sum(&whole);
    api::Statistics {
        fleet: fleet.to_string(),
        from: rfc3339(from),
        to: rfc3339(to),
        now_requests_per_s,
        now_errors_per_s,
        now_latency: latency(&now_sketch),
        totals,
        latency: latency(&sketch),
        points: points
            .iter()
            .map(|(start, window)| point(state, fleet, *start, window, now))
            .collect(),
        endpoints: endpoints(&whole),
        backends: backends(&whole),
        nodes: nodes
            .iter()
            .map(|(id, window)| node(state, *id, window, (from_window, to.min(now))))
            .collect(),
        step_ms: WINDOW_MS,
        endpoint_series: Vec::new(),
        top_errors: Vec::new(),
        process: Vec::new(),
    }
}

fn merge(into: &mut NodeWindow, window: &NodeWindow) {
    for (key, cell) in &window.endpoints {
        let sums: &mut EndpointCell = into.endpoints.entry(key.clone()).or_default();
        for (code, count) in &cell.status {
            *sums.status.entry(*code).or_default() += count;
        }
        sums.latency.merge(&cell.latency);
    }
    for (key, cell) in &window.backends {
        let sums: &mut BackendCell = into.backends.entry(key.clone()).or_default();
        sums.calls += cell.calls;
        sums.errors += cell.errors;
        sums.timeouts += cell.timeouts;
        sums.latency.merge(&cell.latency);
    }
    into.covered_ms += window.covered_ms;
}

fn totals(cell: &EndpointCell) -> api::Totals {
    let mut totals = api::Totals::default();
    for (code, count) in &cell.status {
        totals.requests += count;
        match code / 100 {
            2 => totals.status_2xx += count,
            3 => totals.status_3xx += count,
            4 => totals.status_4xx += count,
            5 => totals.status_5xx += count,
            _ => {}
        }
    }
    totals
}

fn sum(window: &NodeWindow) -> (api::Totals, Sketch) {
    let (mut all, mut sketch) = (api::Totals::default(), Sketch::default());
    for cell in window.endpoints.values() {
        let one = totals(cell);
        all.requests += one.requests;
        all.status_2xx += one.status_2xx;
        all.status_3xx += one.status_3xx;
        all.status_4xx += one.status_4xx;
        all.status_5xx += one.status_5xx;
        sketch.merge(&cell.latency);
    }
    (all, sketch)
}

fn endpoints(window: &NodeWindow) -> Vec<api::EndpointTotals> {
    let row =
        |((endpoint, method), cell): (&(String, String), &EndpointCell)| api::EndpointTotals {
            endpoint: endpoint.clone(),
            method: method.clone(),
            totals: totals(cell),
            latency: latency(&cell.latency),
        };
    window.endpoints.iter().map(row).collect()
}

fn backends(window: &NodeWindow) -> Vec<api::BackendTotals> {
    let row = |((host, pattern), cell): (&(String, String), &BackendCell)| api::BackendTotals {
        host: host.clone(),
        url_pattern: pattern.clone(),
        calls: cell.calls,
        errors: cell.errors,
        timeouts: cell.timeouts,
        latency: latency(&cell.latency),
    };
    window.backends.iter().map(row).collect()
}

fn point(
    state: &ClusterState,
    fleet: &FleetName,
    start_ms: u64,
    window: &NodeWindow,
    now: u64,
) -> api::StatisticsPoint {
    let end_ms = start_ms + WINDOW_MS;
    let (totals, sketch) = sum(window);
    let reporting = state
        .nodes()
        .filter(|node| node.fleet == *fleet && node.joined_ms < end_ms);
    let late = reporting
        .filter(|node| node.state == NodeState::Active)
        .any(|node| node.reported_until_ms.unwrap_or(0) < end_ms);
    let elapsed_ms = now.min(end_ms).saturating_sub(start_ms).max(1);
    api::StatisticsPoint {
        start: rfc3339(start_ms),
        duration_ms: WINDOW_MS,
        closed: now >= end_ms && !late,
        totals,
        requests_per_s: totals.requests as f64 * 1000.0 / elapsed_ms as f64,
        error_ratio: (totals.requests > 0)
            .then(|| totals.status_5xx as f64 / totals.requests as f64),
        latency: latency(&sketch),
        gap: late && now > end_ms + LIVE_WITHIN_MS / 2,
    }
}

fn node(
    state: &ClusterState,
    id: NodeId,
    window: &NodeWindow,
    (from, to): (u64, u64),
) -> api::NodeTotals {
    let (totals, sketch) = sum(window);
    let record = state.node(id);
    let reported = record.and_then(|record| record.reported_until_ms);
    // Between joining and its newest report a node should have covered everything; what it did not is a gap.
    let begin = record.map_or(from, |record| record.joined_ms.max(from));
    let end = reported.map_or(begin, |reported| reported.min(to));
    let missing_ms = end.saturating_sub(begin).saturating_sub(window.covered_ms);
    api::NodeTotals {
        node_id: id.to_string(),
        totals,
        latency: latency(&sketch),
        endpoints: endpoints(window),
        backends: backends(window),
        missing_ms,
        reported_until: reported.map(rfc3339),
    }
}
