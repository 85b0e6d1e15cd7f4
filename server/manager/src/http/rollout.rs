//! How far a fleet's nodes are with a version, and waiting for them.

use std::time::{Duration, Instant};

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use krakend_api as api;
use krakend_domain::{ClusterState, NodeRecord, NodeState, Topic, VersionRecord};
use krakend_raft::StateView;
use serde::Deserialize;

use super::{
    access::Viewer,
    configuration::{existing, fleet_name},
    present,
    problem::Failure,
    read::{Read, answer, parse_wait, view},
};
use crate::{app::App, clock::rfc3339};

/// Which version, and for how long to wait.
#[derive(Debug, Deserialize)]
pub struct RolloutQuery {
    /// The newest where it is not named.
    version: Option<u64>,
    wait: Option<String>,
    index: Option<u64>,
}

/// With `wait` alone the answer comes when no node is awaited any more; with `index` at the next change, as everywhere.
pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    Path(fleet): Path<String>,
    Query(query): Query<RolloutQuery>,
    read: Read,
) -> Result<Response, Failure> {
    const TOPICS: [Topic; 2] = [Topic::Versions, Topic::Nodes];
    let fleet = fleet_name(&fleet)?;
    let until = match (&query.wait, query.index) {
        (Some(wait), None) => Some(Instant::now() + parse_wait(wait)?),
        _ => None,
    };
    let number = query.version;
    let seen = view(&app, &read, &TOPICS).await?;
    existing(&seen.state, &fleet)?;
    let found = |view: &StateView| {
        let newest = view.state.fleet(&fleet).map_or(0, |fleet| fleet.newest);
        let number = number.unwrap_or(newest);
        let version = view.state.version(&fleet, number);
        let version = version.ok_or_else(|| match number {
            0 => Failure::not_found(format!("fleet {fleet} has no version yet")),
            number => Failure::not_found(format!("fleet {fleet} has no version {number}")),
        })?;
        Ok::<_, Failure>(rollout(&view.state, version))
    };
    let mut shown = found(&seen)?;
    // The newest at the beginning is what is waited for, also when another is published meanwhile.
    let number = shown.version;
    let Some(until) = until.filter(|_| shown.state == api::RolloutState::InProgress) else {
        return Ok(answer(&seen, shown));
    };
    let _place = app.http.waiting.enter().ok_or_else(|| {
        Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-waiting",
            format!(
                "{} reads wait on this manager already: ask another one, or later",
                app.http.waiting.limit()
            ),
        )
    })?;
    let mut last = seen.applied_index;
    drop(seen);
    while shown.state == api::RolloutState::InProgress {
        let changed = app.http.watch.beyond(&TOPICS, last);
        let left = until.saturating_duration_since(Instant::now());
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(left) => {}
            () = app.stop.cancelled() => break,
        }
        // Nodes come in crowds; a look at each of them would be as many looks as nodes.
        tokio::time::sleep(TOGETHER).await;
        let view = app.group.stale();
        let version = view.state.version(&fleet, number);
        let Some(version) = version else { break };
        shown = rollout(&view.state, version);
        last = view.applied_index;
        if Instant::now() >= until {
            break;
        }
    }
    // Linearizable once more where it was asked for: what is reported as done must be.
    let end = view(&app, &read.now(), &TOPICS).await?;
    let version = end.state.version(&fleet, number);
    if let Some(version) = version {
        shown = rollout(&end.state, version);
    }
    Ok(answer(&end, shown))
}

const TOGETHER: Duration = Duration::from_millis(20);

fn rollout(state: &ClusterState, version: &VersionRecord) -> api::Rollout {
    let progress = present::progress(state, version);
    let newest = state.fleet(&version.fleet).map_or(0, |fleet| fleet.newest);
    let concerned = state
        .nodes_of(&version.fleet)
        .filter(|node| matches!(node.state, NodeState::Active | NodeState::Unreachable));
    let mut nodes: Vec<_> = concerned.map(|it| node(it, version)).collect();
    nodes.sort_by(|a, b| {
        let rank = |it: &api::NodeRollout| match it.state {
            api::NodeRolloutState::Refused => 0,
            api::NodeRolloutState::Pending => 1,
            api::NodeRolloutState::Applied => 2,
        };
        (rank(a), &a.name).cmp(&(rank(b), &b.name))
    });
    api::Rollout {
        fleet: version.fleet.to_string(),
        version: version.number,
        digest: version.digest.to_string(),
        state: match (progress.pending, progress.refused) {
            (0, 0) => api::RolloutState::Complete,
            (0, _) => api::RolloutState::Refused,
            _ => api::RolloutState::InProgress,
        },
        published_at: rfc3339(version.published_ms),
        superseded_by: (newest > version.number).then_some(newest),
        progress,
        nodes,
    }
}

fn node(node: &NodeRecord, version: &VersionRecord) -> api::NodeRollout {
    let applied = node.applied.as_ref();
    let done = applied.is_some_and(|it| it.generation >= version.generation);
    let refusal = node.refusal.as_ref();
    let refusal = refusal.filter(|it| !done && it.number == version.number);
    api::NodeRollout {
        id: node.id.to_string(),
        name: node.name.clone(),
        node_state: present::node_state(node.state),
        state: match (done, refusal) {
            (true, _) => api::NodeRolloutState::Applied,
            (false, Some(_)) => api::NodeRolloutState::Refused,
            (false, None) => api::NodeRolloutState::Pending,
        },
        applied_version: applied.map(|it| it.number),
        applied_at: applied.map(|it| rfc3339(it.at_ms)),
        refusal: refusal.map(|it| it.text.clone()),
    }
}
