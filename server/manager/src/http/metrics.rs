use axum::{
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use std::sync::atomic::Ordering;

use krakend_domain::{LicenseState, NodeState};
use krakend_raft::StateView;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    access::{Caller, Origin},
    fleet_metrics,
    problem::Failure,
    raft_metrics,
};
use crate::{app::App, clock};

/// Prometheus text format. Needs a token unless `metrics_open` is set.
pub async fn metrics(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if !app.settings.metrics_open {
        Caller::of(&app, &headers, &Method::GET, origin)?;
    }
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry(&app));
    fleet_metrics::append(&mut text, &app.group.stale().state);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// What only grows: name, help and value.
type Counts = Vec<(&'static str, &'static str, u64)>;

/// Requests by what became of them, what waits, and the clocks.
fn requests(
    app: &App,
    view: &StateView,
    counts: &mut Counts,
    gauge: &mut impl FnMut(&str, &str, u64),
) {
    let shared = &app.http;
    let it = &shared.counters;
    for (name, help, counter) in [
        (
            "reads_linearizable",
            "Linearizable reads answered",
            &it.reads_linearizable,
        ),
        ("reads_stale", "Stale reads answered", &it.reads_stale),
        (
            "reads_failed",
            "Linearizable reads that no leader confirmed in time",
            &it.reads_failed,
        ),
        (
            "reads_forwarded",
            "Reads that asked another manager for its index",
            &it.reads_forwarded,
        ),
        ("writes_done", "Writes done", &it.writes_done),
        (
            "writes_replayed",
            "Writes answered from their Idempotency-Key",
            &it.writes_replayed,
        ),
        (
            "writes_rejected",
            "Writes that the state refused",
            &it.writes_rejected,
        ),
        (
            "writes_indeterminate",
            "Writes that may or may not have happened",
            &it.writes_indeterminate,
        ),
        (
            "writes_failed",
            "Writes that certainly did not happen",
            &it.writes_failed,
        ),
        (
            "writes_forwarded",
            "Writes forwarded to another manager",
            &it.writes_forwarded,
        ),
        (
            "readers_dropped",
            "Connections hung up on because they took nothing",
            &it.readers_dropped,
        ),
        (
            "event_streams_gone",
            "Event streams ended because events were no longer kept",
            &it.streams_gone,
        ),
    ] {
        counts.push((name, help, counter.load(Ordering::Relaxed)));
    }
    gauge(
        "writes_waiting",
        "Writes that wait now",
        shared.writes.taken() as u64,
    );
    gauge(
        "reads_waiting",
        "Blocking reads that wait now",
        shared.waiting.taken() as u64,
    );
    gauge(
        "event_streams",
        "Event streams open now",
        shared.streams.taken() as u64,
    );
    gauge(
        "staleness_ms",
        "Age of the state that this manager would answer from",
        view.staleness_ms,
    );
    let (own_s, first_node_s, secrets) = super::secret::figures(app, &view.state);
    gauge(
        "certificate_left_s",
        "Seconds until this manager's certificate ends",
        own_s,
    );
    if let Some(left_s) = first_node_s {
        gauge(
            "node_certificate_left_s",
            "Seconds until the first certificate of a running node ends; 0: it has ended",
            left_s,
        );
    }
    gauge(
        "group_secrets",
        "Group secrets that this manager holds",
        secrets,
    );
    let held = view.state.clock_hold().is_some();
    gauge(
        "clock_held",
        "1 while a jump of the clock waits for an operator",
        u64::from(held),
    );
    gauge(
        "clocks_off",
        "Managers whose clocks are off",
        view.state.clocks_off().len() as u64,
    );
}

/// Other managers' clocks minus this one's, in milliseconds, right within half the round trip.
fn clock_offsets(app: &App) -> Family<Vec<(String, String)>, Gauge> {
    let offsets = Family::<Vec<(String, String)>, Gauge>::default();
    for reading in app.group.clocks().readings {
        offsets
            .get_or_create(&vec![("manager".into(), reading.id.to_string())])
            .set(reading.ahead_ms);
    }
    offsets
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
    gauge(
        "license_over_by",
        "Nodes above the maximum that were seated before it was lowered",
        u64::from(
            view.state
                .seats_used(now)
                .saturating_sub(license.limits.max_nodes),
        ),
    );
    gauge(
        "license_verified",
        "1 while this manager's key verifies the installed licence, or none is installed",
        u64::from(crate::licensing::verifies(app)),
    );
    if let Some(record) = view.state.license() {
        gauge(
            "license_expires_timestamp_seconds",
            "When the licence ends",
            record.claims.expires_ms / 1000,
        );
        gauge(
            "license_grace_ends_timestamp_seconds",
            "When the licence's grace ends and the free limits begin to hold",
            record.claims.grace_ends_ms() / 1000,
        );
    }
    gauge(
        "nodes_waiting_for_seat",
        "Nodes that this leader refused a seat lately",
        app.sessions.waiting().len() as u64,
    );
    gauge(
        "nodes_gossip_blocked",
        "Nodes that have a session and no gossip",
        view.state
            .nodes()
            .filter(|node| view.state.note(node.id).is_some())
            .count() as u64,
    );
    let backup = view.state.backup();
    gauge(
        "backup_last_success_timestamp_seconds",
        "When the newest scheduled backup was written, 0 for never",
        backup.last.as_ref().map_or(0, |last| last.at_ms / 1000),
    );
    gauge(
        "backup_failing",
        "1 while scheduled backups fail",
        u64::from(backup.failing.is_some()),
    );
    let mut counts = Counts::new();
    requests(app, &view, &mut counts, &mut gauge);
    let counters = app.gossip.counters();
    counts.push((
        "gossip_packets_refused",
        "Gossip packets with a bad MAC",
        counters.bad_mac,
    ));
    counts.push((
        "gossip_packets_replayed",
        "Gossip packets seen before",
        counters.replayed,
    ));
    counts.push((
        "gossip_packets_malformed",
        "Gossip packets that do not parse, or are too long",
        counters.malformed + counters.oversized,
    ));
    gauge(
        "gossip_health",
        "How far gossip doubts this manager's own speed: 0 not at all, 8 the most",
        counters.health,
    );
    let members = app.gossip.members();
    let alive = members.iter().filter(|it| it.state.is_active()).count();
    gauge(
        "gossip_members_alive",
        "Other managers and nodes that gossip holds for alive",
        alive as u64,
    );
    for (name, help, value) in counts {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    let states = Family::<Vec<(String, String)>, Gauge>::default();
    for (state, name) in [
        (LicenseState::Valid, "valid"),
        (LicenseState::Expiring, "expiring"),
        (LicenseState::Grace, "grace"),
        (LicenseState::Free, "free"),
    ] {
        states
            .get_or_create(&vec![("state".into(), name.into())])
            .set(i64::from(license.state == state));
    }
    registry.register("license_state", "1 for the state of the licence", states);
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
    raft_metrics::register(app, &view, &mut registry);
    registry.register(
        "clock_offset_ms",
        "Other managers' clocks minus this one's",
        clock_offsets(app),
    );
    registry
}
