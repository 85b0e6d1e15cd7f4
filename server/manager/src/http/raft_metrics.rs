//! The group in Prometheus' terms.

use krakend_raft::{GroupStatus, StateView};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::group;
use crate::app::App;

type Labels = Vec<(String, String)>;

/// Log, members, leaders, fsyncs, alarms. What only the leader knows is left out elsewhere.
pub fn register(app: &App, view: &StateView, registry: &mut Registry) {
    let status = app.group.status();
    log(&status, registry);
    members(&status, registry);
    fsyncs(app, registry);
    let changes: Counter = Counter::default();
    changes.inc_by(app.group.leader_changes());
    registry.register(
        "raft_leader_changes",
        "Leaders that this manager has seen",
        changes,
    );
    let alarms = Family::<Labels, Gauge>::default();
    for alarm in group::all_alarms(app, view) {
        alarms
            .get_or_create(&vec![("kind".into(), alarm.kind)])
            .set(1);
    }
    registry.register("alarm", "1 for each alarm that this manager shows", alarms);
}

fn number(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn log(status: &GroupStatus, registry: &mut Registry) {
    for (name, help, index) in [
        (
            "raft_last_log_index",
            "Newest log index here",
            status.last_log_index,
        ),
        (
            "raft_snapshot_index",
            "Last entry of the newest snapshot file",
            status.snapshot,
        ),
        (
            "raft_purged_index",
            "Everything up to here is gone from the log",
            status.purged,
        ),
    ] {
        number(registry, name, help, index.unwrap_or(0));
    }
}

fn members(status: &GroupStatus, registry: &mut Registry) {
    let voters = status.members.iter().filter(|it| it.voter);
    number(
        registry,
        "raft_voters",
        "Managers with a vote",
        voters.clone().count() as u64,
    );
    if !status.members.iter().any(|it| it.reachable.is_some()) {
        return;
    }
    let answering = voters
        .clone()
        .filter(|it| it.reachable == Some(true))
        .count();
    let needed = voters.count() / 2 + 1;
    number(
        registry,
        "raft_failure_tolerance",
        "Managers that may be lost while writes go on; on the leader",
        answering.saturating_sub(needed) as u64,
    );
    let lag = Family::<Labels, Gauge>::default();
    let reachable = Family::<Labels, Gauge>::default();
    let last = status.last_log_index.unwrap_or(0);
    for member in &status.members {
        let label = vec![("manager".to_owned(), member.node.name.clone())];
        let behind = last.saturating_sub(member.matched.unwrap_or(0));
        lag.get_or_create(&label)
            .set(i64::try_from(behind).unwrap_or(i64::MAX));
        reachable
            .get_or_create(&label)
            .set(i64::from(member.reachable == Some(true)));
    }
    registry.register(
        "raft_lag_entries",
        "Entries that a manager is behind; on the leader",
        lag,
    );
    registry.register(
        "raft_reachable",
        "1 for each manager that answers; on the leader",
        reachable,
    );
}

/// Buckets as a histogram has them, so that `histogram_quantile` works on them.
fn fsyncs(app: &App, registry: &mut Registry) {
    let figures = app.group.syncs();
    let buckets = Family::<Labels, Gauge>::default();
    for (bound_ms, count) in &figures.at_most_ms {
        let bound = bound_ms.map_or_else(|| "+Inf".into(), |ms| (ms as f64 / 1000.0).to_string());
        buckets
            .get_or_create(&vec![("le".into(), bound)])
            .set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    registry.register(
        "log_fsync_seconds_bucket",
        "Fsyncs of the log that took at most so long",
        buckets,
    );
    number(
        registry,
        "log_fsync_microseconds_sum",
        "Time that the log's fsyncs took together",
        figures.sum_us,
    );
}
