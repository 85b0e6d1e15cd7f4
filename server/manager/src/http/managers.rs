//! Changes of the group's membership, by an operator.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Command, FleetName, JoinRole, JoinTokenRecord, ManagerChange};
use krakend_raft::{ChangeError, MemberStatus};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    access::{Admin, Caller},
    problem::Failure,
    tokens::{created, expiry, join_token, parse},
    write,
};
use crate::{
    app::App,
    clock::rfc3339,
    control::{changed, tell},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    #[serde(default = "default_ttl")]
    ttl_s: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    to: Option<String>,
}

fn default_ttl() -> u64 {
    3_600
}

/// A join token with which one new manager obtains the group secret and becomes a learner.
pub async fn add(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let body = if body.is_empty() { "{}".into() } else { body };
    let asked: Add = parse(&body, "{\"ttl_s\"?}")?;
    let token = app.trust.ring().in_use().join_token(Uuid::new_v4());
    let expires_ms = expiry(&app, asked.ttl_s)?;
    let fleet = FleetName::default_fleet();
    let command = Command::CreateJoinToken(JoinTokenRecord {
        id: token.id,
        fleet: fleet.clone(),
        secret_sha256: token.secret_sha256(),
        created_by: caller.name.clone(),
        expires_ms,
        max_uses: 1,
        uses: 0,
        role: JoinRole::Manager,
    });
    let request: [&[u8]; 2] = [b"POST manager", &body];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let (id, expires_ms) = created(&written)?;
    let token = join_token(&app, &headers, token, id).await?;
    let managers: Vec<String> = app
        .group
        .status()
        .members
        .into_iter()
        .map(|member| member.node.node_address)
        .collect();
    let answer = api::ManagerInvitation {
        id: token.id.to_string(),
        token: token.text(JoinRole::Manager, &fleet, managers.clone()),
        join: managers,
        expires_at: rfc3339(expires_ms.unwrap_or(u64::MAX)),
    };
    Ok(written.label((StatusCode::CREATED, Json(answer)).into_response()))
}

pub async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(manager): Path<String>,
) -> Result<StatusCode, Failure> {
    let member = find(&app, &manager)?;
    unbound(&app, &caller)?;
    app.group.remove(member.id).await?;
    record(&app, &member, ManagerChange::Removed, &caller).await;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn promote(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(manager): Path<String>,
) -> Result<StatusCode, Failure> {
    let member = find(&app, &manager)?;
    unbound(&app, &caller)?;
    if !member.voter {
        app.group.promote(member.id).await?;
        record(&app, &member, ManagerChange::Promoted, &caller).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another voter the leader: the one that is named, else the one whose log reaches furthest.
pub async fn transfer(
    State(app): State<App>,
    Admin(caller): Admin,
    body: Bytes,
) -> Result<Json<api::LeadershipTransfer>, Failure> {
    let asked: Transfer = match body.is_empty() {
        true => Transfer::default(),
        false => parse(&body, "{\"to\"?: name or id of a manager}")?,
    };
    unbound(&app, &caller)?;
    let leader = app.group.leadership().borrow().leader;
    let member = match asked.to {
        Some(to) => find(&app, &to)?,
        None => successor(&app, leader)?,
    };
    if Some(member.id) != leader {
        app.group.transfer_leadership(member.id).await?;
        record(&app, &member, ManagerChange::Led, &caller).await;
    }
    Ok(Json(api::LeadershipTransfer {
        leader_id: member.id.to_string(),
        leader_name: member.node.name,
    }))
}

/// A token that is bound to fleets does not change the group.
fn unbound(app: &App, caller: &Caller) -> Result<(), Failure> {
    caller.may(&app.group.stale().state, &Command::Tick)
}

fn successor(app: &App, leader: Option<Uuid>) -> Result<MemberStatus, Failure> {
    let others = app.group.status().members.into_iter();
    others
        .filter(|it| it.voter && Some(it.id) != leader && it.reachable != Some(false))
        .max_by_key(|it| it.matched)
        .ok_or_else(|| {
            Failure::new(
                StatusCode::CONFLICT,
                "no-successor",
                "there is no other voter that could lead: add a manager first",
            )
        })
}

async fn record(app: &App, member: &MemberStatus, change: ManagerChange, caller: &Caller) {
    let by = caller.name.clone();
    let command = changed(member.id, member.node.name.clone(), change, by);
    tell(app, write::audited(caller, command)).await;
}

/// By id, or by a name that only one manager has.
fn find(app: &App, text: &str) -> Result<MemberStatus, Failure> {
    let members = app.group.status().members;
    let matches: Vec<_> = members
        .into_iter()
        .filter(|it| it.id.to_string() == text || it.node.name == text)
        .collect();
    match <[MemberStatus; 1]>::try_from(matches) {
        Ok([one]) => Ok(one),
        Err(several) if several.is_empty() => Err(Failure::new(
            StatusCode::NOT_FOUND,
            "no-such-manager",
            format!(
                "there is no manager {text}: `krakend-cluster-manager managers list` names them"
            ),
        )),
        Err(several) => Err(Failure::new(
            StatusCode::CONFLICT,
            "ambiguous-name",
            format!("{} managers are called {text}: use the id", several.len()),
        )),
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let (status, kind) = match &error {
            ChangeError::NoLeader => (StatusCode::SERVICE_UNAVAILABLE, "no-leader"),
            ChangeError::NoSuchManager(_) => (StatusCode::NOT_FOUND, "no-such-manager"),
            ChangeError::LastVoter(_) => (StatusCode::CONFLICT, "last-voter"),
            ChangeError::Wiped(_) => (StatusCode::CONFLICT, "wiped-manager"),
            ChangeError::QuorumAtRisk { .. } => (StatusCode::CONFLICT, "quorum-at-risk"),
            ChangeError::Removed(_) => (StatusCode::CONFLICT, "removed-manager"),
            ChangeError::StillThere(_) => (StatusCode::CONFLICT, "still-there"),
            ChangeError::CatchingUp { .. } => (StatusCode::CONFLICT, "catching-up"),
            ChangeError::Refused(_) => (StatusCode::CONFLICT, "refused"),
            ChangeError::Indeterminate(_) => (StatusCode::GATEWAY_TIMEOUT, "indeterminate"),
        };
        let mut failure = Self::new(status, kind, error.to_string());
        failure.0.indeterminate = matches!(error, ChangeError::Indeterminate(_));
        failure
    }
}
