//! The gossip key ring: install a key, put it into use, remove another, while everything runs.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{ClusterState, Command, GossipKeyId, GossipKeyRecord, Keyring, Topic};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    access::{Admin, Viewer},
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::{app::App, clock::rfc3339};

const INITIAL: &str = "initial";
/// Nodes that are listed by name.
const MAX_NAMED: usize = 20;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Install {
    #[serde(default)]
    encrypt: bool,
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Managers, Topic::Nodes]).await?;
    Ok(answer(&view, status(&app, &view.state)))
}

fn status(app: &App, state: &ClusterState) -> api::KeyringStatus {
    let ring = state.keyring();
    let initial = (!ring.initial_removed).then(|| api::GossipKey {
        id: INITIAL.into(),
        in_use: ring.in_use.is_none(),
        encrypts: false,
        installed: None,
        installed_by: None,
        secret: None,
        usable: true,
    });
    let installed = ring.keys.iter().map(|key| api::GossipKey {
        id: key.id.to_string(),
        in_use: ring.in_use == Some(key.id),
        encrypts: key.encrypts,
        installed: Some(rfc3339(key.installed_ms)),
        installed_by: Some(key.by.clone()),
        secret: Some(key.secret.to_string()),
        usable: app.trust.ring().holds(key.secret),
    });
    let behind = state.nodes_without_keyring(ring.revision);
    let behind = behind.iter().filter_map(|id| state.node(*id));
    api::KeyringStatus {
        revision: ring.revision,
        in_use: Keyring::name(ring.in_use),
        keys: initial.into_iter().chain(installed).collect(),
        waiting_for: behind
            .take(MAX_NAMED)
            .map(|node| node.name.clone())
            .collect(),
    }
}

/// The salt is drawn here, once; a repeated request is answered with what the first one made.
pub async fn install(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: Install = match body.is_empty() {
        true => Install::default(),
        false => super::tokens::parse(&body, "{\"encrypt\"?: true}")?,
    };
    let salt: [u8; 32] = rand::random();
    let digest = Sha256::digest(salt);
    let mut id = GossipKeyId([0; 8]);
    id.0.copy_from_slice(&digest[..8]);
    let record = GossipKeyRecord {
        id,
        secret: app.trust.ring().in_use().id,
        salt,
        encrypts: asked.encrypt,
        installed_ms: 0,
        by: caller.name.clone(),
        revision: 0,
    };
    let request: [&[u8]; 2] = [b"POST keyring", &body];
    let command = Command::InstallGossipKey(record);
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let installed = match written.replayed {
        // This manager may not have applied it yet, so its state is not asked.
        false => Some(id.to_string()),
        // A repeated request did not install what was drawn for it, but what the audit trail says of the first.
        true => {
            let state = app.group.stale().state;
            let mut trail = state.audit_from(written.index);
            let first = trail.next().filter(|it| it.index == written.index);
            first.map(|it| it.subject.clone())
        }
    };
    let body = serde_json::json!({ "installed": installed });
    Ok(written.label((StatusCode::CREATED, Json(body)).into_response()))
}

pub async fn activate(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = parse(&key)?;
    let command = Command::UseGossipKey {
        id,
        by: caller.name.clone(),
    };
    let request: [&[u8]; 2] = [b"POST keyring use", key.as_bytes()];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let body = serde_json::json!({ "in_use": Keyring::name(id) });
    Ok(written.label((StatusCode::OK, Json(body)).into_response()))
}

/// 409 while a living node has not acknowledged the key that is in use instead.
pub async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = parse(&key)?;
    let command = Command::RemoveGossipKey {
        id,
        by: caller.name.clone(),
    };
    let request: [&[u8]; 2] = [b"DELETE keyring", key.as_bytes()];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let body = serde_json::json!({ "removed": Keyring::name(id) });
    Ok(written.label((StatusCode::OK, Json(body)).into_response()))
}

fn parse(key: &str) -> Result<Option<GossipKeyId>, Failure> {
    if key == INITIAL {
        return Ok(None);
    }
    key.parse().map(Some).map_err(|_| {
        Failure::bad_request(
            "bad-gossip-key",
            "a gossip key is `initial` or 16 hexadecimal digits, see `keyring list`",
        )
    })
}
