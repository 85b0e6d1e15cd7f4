//! From the state to what the API shows.

use krakend_api as api;
use krakend_domain::{
    Claims, ClusterState, Event, EventKind, FileDrift, GatewayKind, LicenseState, LicenseStatus,
    NodeId, NodeRecord, NodeState, RecentSample, Role, Sketch, VersionRecord,
};

use super::access::Caller;
use crate::{app::App, clock::rfc3339};

pub fn session(caller: &Caller) -> api::Session {
    api::Session {
        name: caller.name.clone(),
        role: role(caller.role),
        expires_at: caller.expires_ms.map(rfc3339),
    }
}

pub fn role(role: Role) -> api::Role {
    match role {
        Role::Viewer => api::Role::Viewer,
        Role::Operator => api::Role::Operator,
        Role::Admin => api::Role::Admin,
    }
}

pub fn node(app: &App, state: &ClusterState, node: &NodeRecord) -> api::Node {
    let newest = state
        .newest_version(&node.fleet)
        .map(|version| version.number);
    let recent = state.recent(node.id);
    let silent = !matches!(node.state, NodeState::Active);
    let last = recent.and_then(|recent| recent.back()).filter(|_| !silent);
    let applied = node.applied.as_ref();
    let heard = app.sessions.heard_ms_ago(node.id);
    let heard_ms = heard.map(|ago| crate::clock::now_ms().saturating_sub(ago));
    api::Node {
        id: node.id.to_string(),
        name: node.name.clone(),
        fleet: node.fleet.to_string(),
        state: node_state(node.state),
        state_since: rfc3339(node.state_since_ms),
        down_at: (node.state == NodeState::Unreachable)
            .then(|| rfc3339(node.state_since_ms + app.settings.grace_ms)),
        gateway_address: node.gateway_address.clone(),
        gossip_address: node.gossip_address.clone(),
        gateway: match node.gateway {
            GatewayKind::Krakend => api::GatewayKind::Krakend,
            GatewayKind::Embedded => api::GatewayKind::Embedded,
        },
        gateway_version: node.gateway_version.clone(),
        version: node.version.clone(),
        joined_at: rfc3339(node.joined_ms),
        desired_version: newest,
        applied_version: applied.map(|applied| applied.number),
        applied_digest: applied.map(|applied| applied.digest.to_string()),
        applied_generation: applied.map(|applied| applied.generation),
        applied_at: applied.map(|applied| rfc3339(applied.at_ms)),
        refusal: node.refusal.as_ref().map(|refusal| refusal.text.clone()),
        ready: app.sessions.info(node.id).map(|info| info.ready),
        holds_seat: node
            .seat
            .is_taken(state.decision_time(crate::clock::decide_ms(state))),
        gossip_blocked_since: state
            .note(node.id)
            .map(|note| rfc3339(note.gossip_blocked_since_ms)),
        lease_expires_at: (node.lease_until_ms > 0).then(|| rfc3339(node.lease_until_ms)),
        free_version_since: state
            .free_version_since(node, crate::clock::decide_ms(state))
            .map(rfc3339),
        requests_per_s: last.map(|last| rate(last.requests, last)),
        errors_per_s: last.map(|last| rate(last.errors, last)),
        latency_p99_ms: last.and_then(|last| last.latency.quantile(0.99)),
        recent_requests_per_s: recent.map_or_else(Vec::new, |recent| sparkline(recent.iter())),
        memory_bytes: last.map(|last| last.memory_bytes),
        cpu_percent: last.map(|last| 100.0 * last.cpu_ms as f64 / duration_ms(last)),
        connections: last.map(|last| last.connections),
        draining_since: state
            .draining(node.id)
            .map(|draining| rfc3339(draining.since_ms)),
        drift: state.drift(node.id).map(drift),
        duplicate_since: duplicate_seen_ms(app, node.id).map(rfc3339),
        session_manager: heard_ms.map(|_| app.settings.name.clone()),
        heard_at: heard_ms.map(rfc3339),
    }
}

fn drift(drift: &FileDrift) -> api::Drift {
    api::Drift {
        found_at: rfc3339(drift.found_ms),
        file: drift.file.clone(),
        expected_digest: drift.expected.to_string(),
        found_digest: drift.found.map(|it| it.to_string()).unwrap_or_default(),
        reason: drift.reason.clone(),
    }
}

/// When two processes were last seen to share the id, by their sessions or by gossip.
fn duplicate_seen_ms(app: &App, id: NodeId) -> Option<u64> {
    let sessions = app.sessions.twin_seen_ms_ago(id);
    let mut gossip = app.gossip.duplicates().into_iter();
    let gossip = gossip.find(|twins| twins.id == id.0).map(|it| it.age_ms);
    let ago = sessions.into_iter().chain(gossip).min()?;
    Some(crate::clock::now_ms().saturating_sub(ago))
}

fn duration_ms(sample: &RecentSample) -> f64 {
    sample.end_ms.saturating_sub(sample.start_ms).max(1) as f64
}

fn rate(count: u64, sample: &RecentSample) -> f64 {
    count as f64 * 1000.0 / duration_ms(sample)
}

/// Rates, oldest first, with a hole where samples are missing.
fn sparkline<'a>(recent: impl Iterator<Item = &'a RecentSample>) -> Vec<Option<f64>> {
    let mut rates = Vec::new();
    let mut end = None;
    for sample in recent {
        let hole = end.is_some_and(|end| sample.start_ms > end + duration_ms(sample) as u64 / 2);
        if hole {
            rates.push(None);
        }
        rates.push(Some(rate(sample.requests, sample)));
        end = Some(sample.end_ms);
    }
    rates
}

pub fn node_state(state: NodeState) -> api::NodeState {
    match state {
        NodeState::Active => api::NodeState::Active,
        NodeState::Unreachable => api::NodeState::Unreachable,
        NodeState::Down => api::NodeState::Down,
        NodeState::Removed => api::NodeState::Removed,
    }
}

pub fn latency(sketch: &Sketch) -> api::Latency {
    api::Latency {
        p50_ms: sketch.quantile(0.5),
        p90_ms: sketch.quantile(0.9),
        p99_ms: sketch.quantile(0.99),
        p999_ms: sketch.quantile(0.999),
    }
}

pub fn version(version: &VersionRecord) -> api::VersionSummary {
    api::VersionSummary {
        number: version.number,
        digest: version.digest.to_string(),
        parent: version.parent.map(|parent| parent.to_string()),
        author: version.author.clone(),
        message: version.message.clone(),
        published_at: rfc3339(version.published_ms),
        size_bytes: version.size_bytes,
    }
}

/// How far the nodes that are not gone are with `version`.
pub fn progress(state: &ClusterState, version: &VersionRecord) -> api::RolloutProgress {
    let mut progress = api::RolloutProgress::default();
    let mut last_ms = Some(version.published_ms);
    let concerned = state
        .nodes_of(&version.fleet)
        .filter(|node| matches!(node.state, NodeState::Active | NodeState::Unreachable));
    for node in concerned {
        progress.total += 1;
        let applied = node.applied.as_ref();
        match applied.filter(|applied| applied.generation >= version.generation) {
            Some(applied) => {
                progress.applied += 1;
                last_ms = last_ms.map(|last| last.max(applied.at_ms));
            }
            None if node
                .refusal
                .as_ref()
                .is_some_and(|r| r.number == version.number) =>
            {
                progress.refused += 1;
            }
            None => progress.pending += 1,
        }
    }
    let complete = progress.total > 0 && progress.applied == progress.total;
    progress.took_ms = last_ms
        .filter(|_| complete)
        .map(|last| last - version.published_ms);
    progress
}

pub fn license(state: &ClusterState, now_ms: u64) -> api::License {
    let claims = state.license().map(|license| &license.claims);
    // While a jump of the clock is held, the licence stands where it stood before.
    let shown = license_of(
        claims,
        state.seats_used(now_ms),
        state.decision_time(now_ms),
    );
    let record = state.license();
    api::License {
        group: record.and_then(|record| crate::license::named_group(&record.token)),
        checks: crate::licensing::checks(state),
        ..shown
    }
}

/// A licence at a time.
pub fn license_of(claims: Option<&Claims>, seats_used: u32, now_ms: u64) -> api::License {
    let status = LicenseStatus::at(claims, now_ms);
    api::License {
        state: match status.state {
            LicenseState::Valid => api::LicenseState::Valid,
            LicenseState::Expiring => api::LicenseState::Expiring,
            LicenseState::Grace => api::LicenseState::Grace,
            LicenseState::Free => api::LicenseState::Free,
        },
        subscriber: claims.map(|claims| claims.subscriber.clone()),
        over_by: seats_used.saturating_sub(status.limits.max_nodes),
        level: status.limits.level,
        max_nodes: status.limits.max_nodes,
        seats_used,
        features: status.limits.features,
        not_before: claims.map(|claims| rfc3339(claims.not_before_ms)),
        expires_at: claims.map(|claims| rfc3339(claims.expires_ms)),
        grace_ends_at: status.grace_ends_ms.map(rfc3339),
        days_left: status.days_left,
        free_max_nodes: krakend_domain::FREE_MAX_NODES,
        group: None,
        notice_days: status.notice_days,
        checks: Vec::new(),
    }
}

pub fn event(event: &Event) -> api::Event {
    api::Event {
        index: event.index,
        position: event.position,
        time: rfc3339(event.time_ms),
        kind: event_kind(event.kind),
        fleet: event.fleet.as_ref().map(ToString::to_string),
        subject_id: event.subject_id.map(|id| id.to_string()),
        subject_name: event.subject_name.clone(),
        version: event.version,
        message: event.message.clone(),
    }
}

fn event_kind(kind: EventKind) -> api::EventKind {
    match kind {
        EventKind::GroupFormed => api::EventKind::GroupFormed,
        EventKind::ManagerJoined => api::EventKind::ManagerJoined,
        EventKind::LeaderElected => api::EventKind::LeaderElected,
        EventKind::NodeJoined => api::EventKind::NodeJoined,
        EventKind::NodeActive => api::EventKind::NodeActive,
        EventKind::NodeUnreachable => api::EventKind::NodeUnreachable,
        EventKind::NodeDown => api::EventKind::NodeDown,
        EventKind::NodeRemoved => api::EventKind::NodeRemoved,
        EventKind::VersionPublished => api::EventKind::VersionPublished,
        EventKind::VersionApplied => api::EventKind::VersionApplied,
        EventKind::VersionRefused => api::EventKind::VersionRefused,
        EventKind::LicenseInstalled => api::EventKind::LicenseInstalled,
        EventKind::LicenseRemoved => api::EventKind::LicenseRemoved,
        EventKind::LicenseStateChanged => api::EventKind::LicenseStateChanged,
        EventKind::TokenCreated => api::EventKind::TokenCreated,
        EventKind::TokenRevoked => api::EventKind::TokenRevoked,
        EventKind::FleetCreated => api::EventKind::FleetCreated,
        EventKind::ManagerPromoted => api::EventKind::ManagerPromoted,
        EventKind::ManagerRemoved => api::EventKind::ManagerRemoved,
        EventKind::ManagerMoved => api::EventKind::ManagerMoved,
        EventKind::LeadershipTransferred => api::EventKind::LeadershipTransferred,
        EventKind::GroupRestored => api::EventKind::GroupRestored,
        EventKind::GroupRecovered => api::EventKind::GroupRecovered,
        EventKind::BackupFailed => api::EventKind::BackupFailed,
        EventKind::BackupSaved => api::EventKind::BackupSaved,
        EventKind::ClockHeld => api::EventKind::ClockHeld,
        EventKind::ClockConfirmed => api::EventKind::ClockConfirmed,
        EventKind::ClockReset => api::EventKind::ClockReset,
        EventKind::ClockOff => api::EventKind::ClockOff,
        EventKind::ClockRight => api::EventKind::ClockRight,
        EventKind::FeatureLevelRaised => api::EventKind::FeatureLevelRaised,
        EventKind::SecretRotated => api::EventKind::SecretRotated,
        EventKind::LicenseNotice => api::EventKind::LicenseNotice,
        EventKind::LicenseUnverified => api::EventKind::LicenseUnverified,
        EventKind::LicenseVerified => api::EventKind::LicenseVerified,
        EventKind::GossipBlocked => api::EventKind::GossipBlocked,
        EventKind::GossipOpen => api::EventKind::GossipOpen,
        EventKind::GossipKeysChanged => api::EventKind::GossipKeysChanged,
        EventKind::NodeDrained => api::EventKind::NodeDrained,
        EventKind::NodeUndrained => api::EventKind::NodeUndrained,
        EventKind::GatewayRestarted => api::EventKind::GatewayRestarted,
        EventKind::GatewayRestartFailed => api::EventKind::GatewayRestartFailed,
        EventKind::DriftFound => api::EventKind::DriftFound,
        EventKind::DriftGone => api::EventKind::DriftGone,
        EventKind::NodeLeaseEnded => api::EventKind::NodeLeaseEnded,
    }
}
