use axum::{
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use krakend_domain::NodeState;
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{access::Caller, problem::Failure};
use crate::{app::App, clock};

/// Prometheus text format. Needs a token unless `metrics_open` is set.
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    if !app.settings.metrics_open {
        Caller::of(&app, &headers, &Method::GET)?;
    }
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry(&app));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn registry(app: &App) -> Registry {
    let mut registry = Registry::with_prefix("krakend_cluster");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let view = app.group.stale();
    let status = app.group.status();
    let me = app.group.identity().manager_id;
    gauge("raft_term", "Term that this manager knows", view.term);
    gauge(
        "raft_is_leader",
        "1 on the leader",
        u64::from(view.leader == Some(me)),
    );
    gauge(
        "raft_committed_index",
        "Newest committed log index",
        status.committed.unwrap_or(0),
    );
    gauge(
        "raft_applied_index",
        "Newest applied log index",
        view.applied_index,
    );
    gauge(
        "generation",
        "Newest generation",
        view.state.meta().generation,
    );
    let now = clock::decide_ms(&view.state);
    let license = view.state.license_status(now);
    gauge(
        "license_max_nodes",
        "Seats",
        u64::from(license.limits.max_nodes),
    );
    gauge(
        "license_seats_used",
        "Seats in use",
        u64::from(view.state.seats_used(now)),
    );
    let counters = app.gossip.counters();
    gauge(
        "gossip_packets_refused",
        "Gossip packets with a bad MAC",
        counters.bad_mac,
    );
    gauge(
        "gossip_packets_replayed",
        "Gossip packets seen before",
        counters.replayed,
    );
    let nodes = Family::<Vec<(String, String)>, Gauge>::default();
    for (state, name) in [
        (NodeState::Active, "active"),
        (NodeState::Unreachable, "unreachable"),
        (NodeState::Down, "down"),
        (NodeState::Removed, "removed"),
    ] {
        let count = view
            .state
            .nodes()
            .filter(|node| node.state == state)
            .count();
        nodes
            .get_or_create(&vec![("state".into(), name.into())])
            .set(count as i64);
    }
    registry.register("nodes", "Nodes by state", nodes);
    registry
}
