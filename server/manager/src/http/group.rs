use std::time::Duration;

use axum::{extract::State, http::StatusCode, response::Response};
use krakend_api as api;
use krakend_domain::{ClusterState, NodeState, Topic};
use krakend_raft::{GroupStatus, MemberStatus, StateView};

use super::{
    access::Viewer,
    alarms,
    problem::Failure,
    read::{Read, answer, view},
};
use crate::{app::App, backups, clock, epoch};

/// A leader that does not say within this what it knows of the others is left out of the answer.
const OBSERVE_WITHIN: Duration = Duration::from_millis(500);

/// How long a follower may be without its leader's heartbeat before it no longer counts as ready.
const READY_STALENESS_MS: u64 = 5_000;

/// What the status shows of the state.
const STATUS: [Topic; 5] = [
    Topic::Managers,
    Topic::Nodes,
    Topic::Fleets,
    Topic::License,
    Topic::Clock,
];

pub async fn livez() -> &'static str {
    "ok\n"
}

/// 200 when this manager can answer reads and writes; otherwise 503 with the reason.
pub async fn readyz(State(app): State<App>) -> (StatusCode, String) {
    let view = app.group.stale();
    let not = |reason: &str| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        )
    };
    if let Some(reason) = alarms::not_ready(&app) {
        return not(&reason);
    }
    if view.state.meta().group_id.is_none() {
        return not(&format!(
            "the group has not formed: {} managers are expected ({})",
            app.settings.bootstrap_expect,
            app.settings.peers.join(", ")
        ));
    }
    if view.leader.is_none() {
        return not("there is no leader: a majority of the managers must be reachable");
    }
    if view.staleness_ms > READY_STALENESS_MS {
        return not(&format!(
            "the leader was last heard {} ms ago",
            view.staleness_ms
        ));
    }
    (StatusCode::OK, "ok\n".into())
}

pub async fn status(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &STATUS).await?;
    let body = group_status(&app, &view, &observed(&app).await);
    Ok(answer(&view, body))
}

pub async fn managers(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Managers]).await?;
    let body = api::ManagerList {
        managers: manager_list(&view, &observed(&app).await),
    };
    Ok(answer(&view, body))
}

/// The members with what only the leader knows of them.
pub async fn observed(app: &App) -> GroupStatus {
    app.group.observed_status(OBSERVE_WITHIN).await
}

pub fn manager_list(view: &StateView, status: &GroupStatus) -> Vec<api::Manager> {
    let last = status.last_log_index.unwrap_or(0);
    let mut managers: Vec<_> = status
        .members
        .iter()
        .map(|member| manager(view, member, last))
        .collect();
    managers.sort_by(|a, b| a.name.cmp(&b.name));
    managers
}

fn manager(view: &StateView, member: &MemberStatus, last: u64) -> api::Manager {
    let record = view.state.manager(member.id);
    let role = if view.leader == Some(member.id) {
        api::ManagerRole::Leader
    } else if member.reachable == Some(false) {
        api::ManagerRole::Unreachable
    } else if member.voter {
        api::ManagerRole::Follower
    } else {
        api::ManagerRole::Learner
    };
    api::Manager {
        id: member.id.to_string(),
        name: member.node.name.clone(),
        role,
        voter: member.voter,
        raft_address: member.node.raft_address.clone(),
        node_address: member.node.node_address.clone(),
        http_address: member.node.http_address.clone(),
        version: record
            .map(|record| record.version.clone())
            .unwrap_or_default(),
        matched_index: member.matched,
        behind: member.matched.map(|matched| last.saturating_sub(matched)),
    }
}

pub fn all_alarms(app: &App, view: &StateView) -> Vec<api::Alarm> {
    let state: &ClusterState = &view.state;
    let found = [backups::alarm(app, state), epoch::alarm(app, state)];
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.extend(super::clock::alarms(app, view));
    found.extend(super::secret::alarms(app, view));
    found.extend(crate::licensing::alarms(app, view));
    found.extend(alarms::of_gossip(&view.state));
    found.extend(alarms::of_drift(&view.state));
    found.extend(super::twins::alarms(app, view));
    found.extend(alarms::of_manager(app));
    found
}

pub fn group_status(app: &App, view: &StateView, status: &GroupStatus) -> api::GroupStatus {
    let meta = view.state.meta();
    let name = |id| {
        let found = status.members.iter().find(|member| member.id == id);
        found.map(|member| member.node.name.clone())
    };
    let me = app.group.identity().manager_id;
    let voters = status.members.iter().filter(|member| member.voter);
    let voters_total = voters.clone().count() as u32;
    let reachable = voters
        .filter(|member| member.reachable != Some(false))
        .count() as u32;
    let reachable = if view.leader.is_some() { reachable } else { 0 };
    let count = |state| {
        view.state
            .nodes()
            .filter(|node| node.state == state)
            .count() as u32
    };
    let (active, unreachable, down) = (
        count(NodeState::Active),
        count(NodeState::Unreachable),
        count(NodeState::Down),
    );
    api::GroupStatus {
        group_id: meta.group_id.map(|id| id.to_string()).unwrap_or_default(),
        answered_by: me.to_string(),
        answered_by_name: app.settings.name.clone(),
        leader_id: view.leader.map(|id| id.to_string()),
        leader_name: view.leader.and_then(name),
        term: view.term,
        applied_index: view.applied_index,
        committed_index: status.committed.unwrap_or(0),
        voters: voters_total,
        reachable_voters: reachable,
        can_lose: reachable.saturating_sub(voters_total / 2 + 1),
        epoch: meta.epoch,
        generation: meta.generation,
        nodes_active: active,
        nodes_unreachable: unreachable,
        nodes_down: down,
        nodes_total: active + unreachable + down,
        alarms: all_alarms(app, view),
        last_backup: backups::last(&view.state),
        now: clock::rfc3339(clock::now_ms()),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}
