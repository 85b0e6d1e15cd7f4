//! Which group secrets are held and used, and the change from one to the next.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{
    CertificateLife, ClusterState, Command, Dependents, Digest, NodeRecord, NodeState,
    SecretHolder, SecretId, SecretStep, Topic, next_secret_step,
};
use krakend_raft::StateView;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    access::{Admin, Viewer},
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::{
    app::App,
    clock::{self, rfc3339},
    trust::{Held, missing_text},
};

/// Nodes that are listed by name.
const MAX_NAMED: usize = 20;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Rotate {
    to: Option<String>,
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let topics = [Topic::Managers, Topic::Nodes, Topic::Tokens];
    let view = view(&app, &read, &topics).await?;
    Ok(answer(&view, status(&app, &view.state)))
}

fn status(app: &App, state: &ClusterState) -> api::SecretStatus {
    let ring = app.trust.ring();
    let record = state.secret();
    let in_use = record.in_use.unwrap_or(ring.in_use().id);
    let managers = app.group.secret_holders();
    let step = next_secret_step(in_use, ring.newest(), &managers, |id| {
        dependents(app, state, in_use, id)
    });
    let mut known: Vec<SecretId> = ring.ids();
    for id in managers.iter().flat_map(|it| it.holds.iter().flatten()) {
        if !known.contains(id) {
            known.push(*id);
        }
    }
    api::SecretStatus {
        in_use: in_use.to_string(),
        since: (record.since_ms > 0).then(|| rfc3339(record.since_ms)),
        next: ask_leader(app, &managers).unwrap_or_else(|| text(&step)),
        managers: managers.iter().map(|it| manager(app, it)).collect(),
        secrets: known
            .into_iter()
            .map(|id| secret(app, state, in_use, id))
            .collect(),
    }
}

/// Only the leader hears of all managers.
fn ask_leader(app: &App, managers: &[SecretHolder]) -> Option<String> {
    let leadership = *app.group.leadership().borrow();
    if leadership.is_me || managers.iter().all(|it| it.holds.is_some()) {
        return None;
    }
    let members = app.group.status().members;
    let leader = members.iter().find(|it| Some(it.id) == leadership.leader);
    let leader = leader.map_or("there is none at the moment".into(), |it| {
        format!("{} at http://{}", it.node.name, it.node.http_address)
    });
    Some(format!(
        "{} does not know what the others hold: ask the leader ({leader})",
        app.settings.name
    ))
}

fn manager(app: &App, manager: &SecretHolder) -> api::ManagerSecrets {
    let used = app.group.secrets_used();
    api::ManagerSecrets {
        id: manager.id.to_string(),
        name: manager.name.clone(),
        voter: manager.voter,
        holds: manager
            .holds
            .as_ref()
            .map(|held| held.iter().map(ToString::to_string).collect()),
        uses: used.get(&manager.id).map(ToString::to_string),
    }
}

fn secret(app: &App, state: &ClusterState, in_use: SecretId, id: SecretId) -> api::Secret {
    let ring = app.trust.ring();
    let held = ring.all().find(|it| it.id == id);
    let nodes: Vec<_> = nodes_on(state, in_use, id).collect();
    let managers = app.group.secret_holders();
    let holds = |it: &&SecretHolder| it.holds.as_ref().is_some_and(|it| it.contains(&id));
    api::Secret {
        id: id.to_string(),
        in_use: id == in_use,
        managers: managers.iter().filter(holds).count() as u32,
        nodes: nodes.len() as u32,
        node_names: nodes
            .iter()
            .take(MAX_NAMED)
            .map(|it| it.name.clone())
            .collect(),
        join_tokens: held.map(|it| join_tokens(state, it) as u32),
        api_tokens: held.map(|it| api_tokens(state, it) as u32),
    }
}

/// Nodes whose certificate stands on a secret. One that nobody has looked at yet counts for every old one.
fn nodes_on(
    state: &ClusterState,
    in_use: SecretId,
    id: SecretId,
) -> impl Iterator<Item = &NodeRecord> {
    state
        .nodes()
        .filter(|node| node.state != NodeState::Removed)
        .filter(move |node| match state.certificate(node.id) {
            Some(certificate) => certificate.secret == id,
            None => id != in_use,
        })
}

fn dependents(app: &App, state: &ClusterState, in_use: SecretId, id: SecretId) -> Dependents {
    let ring = app.trust.ring();
    let held = ring.all().find(|it| it.id == id);
    Dependents {
        gossip_keys: gossip_keys(state, id),
        nodes: nodes_on(state, in_use, id).count(),
        join_tokens: held.map_or(0, |it| join_tokens(state, it)),
    }
}

/// Gossip keys that nobody can derive without this secret.
fn gossip_keys(state: &ClusterState, id: SecretId) -> usize {
    let keys = state.keyring().keys.iter();
    keys.filter(|key| key.secret == id).count()
}

/// Join tokens that can still be used and pin this secret's authority.
fn join_tokens(state: &ClusterState, held: &Held) -> usize {
    let now_ms = clock::decide_ms(state);
    let usable = state
        .join_tokens()
        .filter(|it| it.uses < it.max_uses && now_ms < it.expires_ms);
    usable
        .filter(|it| held.join_token(it.id).secret_sha256() == it.secret_sha256)
        .count()
}

/// API tokens whose text derives from this secret. They stay valid without it.
fn api_tokens(state: &ClusterState, held: &Held) -> usize {
    let sha256 = |text: String| Digest(Sha256::digest(text.as_bytes()).into());
    let derived = state.tokens().filter(|token| {
        token.sha256 == sha256(held.token_text(token.id))
            || token.sha256 == sha256(held.first_token_text(token.id))
    });
    derived.count()
}

fn text(step: &SecretStep) -> String {
    match step {
        SecretStep::Nothing => "nothing to do: every manager holds the one secret in use".into(),
        SecretStep::Add { id, to } => format!(
            "put the secret {id} into the secret file of {}, as the first line; it is noticed within seconds",
            to.join(", ")
        ),
        SecretStep::Rotate { id } => format!(
            "every voter holds {id}: `krakend-cluster-manager secret rotate` begins to use it"
        ),
        SecretStep::Wait { id, by } => format!(
            "the old secret {id} is still needed by {} node(s) without a certificate of the new one, {} join token(s) that can be used, and {} gossip key(s), see `keyring list`: wait, or give them up",
            by.nodes, by.join_tokens, by.gossip_keys
        ),
        SecretStep::Remove { id, from } => format!(
            "nobody needs the old secret {id}: take it out of the secret file of {}",
            from.join(", ")
        ),
    }
}

/// The leader refuses it while a voter does not hold it, or has not answered.
pub async fn rotate(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: Rotate = match body.is_empty() {
        true => Rotate::default(),
        false => super::tokens::parse(&body, "{\"to\"?: NAME}")?,
    };
    let ring = app.trust.ring();
    let id = match &asked.to {
        None => ring.newest(),
        Some(name) => name.parse().map_err(|_| {
            Failure::bad_request(
                "bad-secret",
                "`to` is 16 hexadecimal digits, see `secret status`",
            )
        })?,
    };
    let request: [&[u8]; 2] = [b"POST secret rotate", &body];
    let in_use = app.group.stale().state.secret().in_use;
    if asked.to.is_none() && in_use.unwrap_or(ring.in_use().id) == id {
        return match write::first(&app, &caller, &headers, &request).await {
            Some(first) => {
                let written = first.map_err(Failure::from)?;
                Ok(written
                    .label(Json(serde_json::json!({ "in_use": id.to_string() })).into_response()))
            }
            None => Err(Failure::new(
                StatusCode::CONFLICT,
                "no-newer-secret",
                format!(
                    "the newest secret that {} holds, {id}, is in use: put a new one (`openssl rand -hex 32`) into every manager's secret file as the first line",
                    app.settings.name
                ),
            )),
        };
    }
    let command = Command::UseSecret {
        id,
        by: caller.name.clone(),
    };
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let body = serde_json::json!({ "in_use": id.to_string() });
    Ok(written.label((StatusCode::OK, Json(body)).into_response()))
}

/// What of secrets and certificates wants an operator.
pub fn alarms(app: &App, view: &StateView) -> Vec<api::Alarm> {
    let state = &view.state;
    let now_ms = clock::decide_ms(state);
    let alarm = |kind: &str, since_ms: u64, message: String| api::Alarm {
        kind: kind.into(),
        message,
        since: rfc3339(since_ms),
    };
    let mut alarms = Vec::new();
    if let Some((text, since_ms)) = app.trust.trouble() {
        alarms.push(alarm("secret-file", since_ms, text));
    }
    if let Some(id) = app.trust.lacks(&app.group) {
        let since_ms = state.secret().since_ms;
        alarms.push(alarm("secret-missing", since_ms, missing_text(id)));
    }
    let life = app.trust.life;
    let own = app.trust.not_after_ms();
    if life.is_late(own, now_ms) {
        let text = format!(
            "the certificate of {} ends at {}",
            app.settings.name,
            rfc3339(own)
        );
        alarms.push(alarm("certificate-expiring", now_ms, text));
    }
    let late: Vec<_> = late_nodes(state, life, now_ms).collect();
    if let Some(first) = late.first() {
        let text = format!(
            "the certificates of {} node(s) end soon or have ended, for instance of {}: they renew them in a session with the leader, so look why there is none",
            late.len(),
            first.name
        );
        alarms.push(alarm("certificate-expiring", now_ms, text));
    }
    alarms
}

/// Nodes that should run and have not renewed in time.
fn late_nodes(
    state: &ClusterState,
    life: CertificateLife,
    now_ms: u64,
) -> impl Iterator<Item = &NodeRecord> {
    state.nodes().filter(move |node| {
        let runs = matches!(node.state, NodeState::Active | NodeState::Unreachable);
        let certificate = state.certificate(node.id);
        runs && certificate.is_some_and(|it| life.is_late(it.not_after_ms, now_ms))
    })
}

/// For the metrics: seconds until this manager's certificate ends, until the first node's does, and how many secrets
/// are held.
pub fn figures(app: &App, state: &ClusterState) -> (u64, Option<u64>, u64) {
    let now_ms = clock::decide_ms(state);
    let left_s = |end_ms: u64| end_ms.saturating_sub(now_ms) / 1000;
    let running = state
        .nodes()
        .filter(|it| matches!(it.state, NodeState::Active | NodeState::Unreachable));
    let ends = running.filter_map(|it| state.certificate(it.id));
    let first = ends.map(|it| it.not_after_ms).min();
    let held = app.trust.ring().ids().len() as u64;
    (left_s(app.trust.not_after_ms()), first.map(left_s), held)
}
