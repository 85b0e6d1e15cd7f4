//! What is wrong with this manager, as its part of the group says it.

use krakend_api as api;
use krakend_domain::ClusterState;
use krakend_raft::AlarmKind;

use crate::{app::App, clock};

/// The alarms that the answering manager raises about itself.
pub fn of_manager(app: &App) -> Vec<api::Alarm> {
    let alarms = app.group.alarms().into_iter();
    alarms
        .map(|alarm| api::Alarm {
            kind: alarm.kind.as_str().into(),
            message: alarm.message,
            since: clock::rfc3339(alarm.since_ms),
        })
        .collect()
}

/// Nodes that have a session and no gossip, in one alarm.
pub fn of_gossip(state: &ClusterState) -> Option<api::Alarm> {
    let noted = state.nodes().filter_map(|node| {
        let note = state.note(node.id)?;
        Some((note.gossip_blocked_since_ms, node.name.as_str()))
    });
    let noted: Vec<_> = noted.collect();
    let since_ms = noted.iter().map(|(since_ms, _)| *since_ms).min()?;
    let names: Vec<_> = noted.iter().take(5).map(|(_, name)| *name).collect();
    let more = if noted.len() > 5 { " and others" } else { "" };
    Some(api::Alarm {
        kind: "gossip-blocked".into(),
        message: format!(
            "gossip does not reach {} node(s) that have a session ({}{more}): let UDP through on port 7000 between managers and nodes, both ways",
            noted.len(),
            names.join(", ")
        ),
        since: clock::rfc3339(since_ms),
    })
}

/// Nodes whose gateway's file somebody else has changed, in one alarm.
pub fn of_drift(state: &ClusterState) -> Option<api::Alarm> {
    let drifted = state.nodes().filter_map(|node| {
        let drift = state.drift(node.id)?;
        Some((drift.found_ms, node.name.as_str()))
    });
    let drifted: Vec<_> = drifted.collect();
    let since_ms = drifted.iter().map(|(since_ms, _)| *since_ms).min()?;
    let names: Vec<_> = drifted.iter().take(5).map(|(_, name)| *name).collect();
    let more = if drifted.len() > 5 { " and others" } else { "" };
    Some(api::Alarm {
        kind: "drift".into(),
        message: format!(
            "the gateway's file on {} node(s) is not what the node wrote ({}{more}): `nodes show NODE` names the file; `nodes restart NODE` writes it anew",
            drifted.len(),
            names.join(", ")
        ),
        since: clock::rfc3339(since_ms),
    })
}

/// Why this manager must not be asked at the moment, if so.
pub fn not_ready(app: &App) -> Option<String> {
    let mut alarms = app.group.alarms().into_iter();
    alarms
        .find(|alarm| {
            matches!(
                alarm.kind,
                AlarmKind::TakingOldPlace | AlarmKind::StateDiverged
            )
        })
        .map(|alarm| alarm.message)
}
