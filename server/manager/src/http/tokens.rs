use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Command, Digest, FleetName, JoinRole, JoinTokenRecord, Role, TokenRecord};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uuid::Uuid;

use super::{access::Admin, present, problem::Failure, write};
use crate::{
    app::App,
    clock::{self, rfc3339},
    trust::JoinToken,
};

const MAX_TTL_S: u64 = 366 * 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateJoin {
    #[serde(default = "default_fleet")]
    fleet: String,
    #[serde(default = "default_ttl")]
    ttl_s: u64,
    #[serde(default = "default_uses")]
    max_uses: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    role: api::Role,
    ttl_s: Option<u64>,
}

/// A token as lists show it.
#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    role: api::Role,
    created_by: String,
    expires_at: Option<String>,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

fn default_fleet() -> String {
    "default".into()
}

fn default_ttl() -> u64 {
    3_600
}

fn default_uses() -> u32 {
    1
}

pub async fn list(State(app): State<App>, Admin(_): Admin) -> Response {
    let state = app.group.stale().state;
    let tokens: Vec<_> = state.tokens().map(|token| shown(token, None)).collect();
    Json(serde_json::json!({ "tokens": tokens })).into_response()
}

fn shown(token: &TokenRecord, text: Option<String>) -> Shown {
    Shown {
        id: token.id.to_string(),
        name: token.name.clone(),
        role: present::role(token.role),
        created_by: token.created_by.clone(),
        expires_at: token.expires_ms.map(rfc3339),
        token: text,
    }
}

pub async fn create(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: Create = parse(
        &body,
        "{\"name\", \"role\": viewer|operator|admin, \"ttl_s\"?}",
    )?;
    if asked.name.is_empty() || asked.name.len() > 100 {
        return Err(Failure::bad_request(
            "bad-name",
            "a name has 1 to 100 characters",
        ));
    }
    let text = format!("kcm_{}", Digest(rand::random()));
    let record = TokenRecord {
        id: Uuid::new_v4(),
        name: asked.name,
        role: match asked.role {
            api::Role::Viewer => Role::Viewer,
            api::Role::Operator => Role::Operator,
            api::Role::Admin => Role::Admin,
        },
        sha256: Digest(sha2::Sha256::digest(text.as_bytes()).into()),
        created_by: caller.name,
        expires_ms: asked.ttl_s.map(expiry).transpose()?,
    };
    let answer = shown(&record, Some(text));
    write::propose(
        &app,
        &headers,
        &[b"POST token", &body],
        Command::CreateToken(record),
    )
    .await?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub async fn revoke(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let command = Command::RevokeToken {
        id,
        by: caller.name,
    };
    write::propose(&app, &headers, &[b"DELETE token", id.as_bytes()], command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn create_join(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: CreateJoin = parse(&body, "{\"fleet\"?, \"ttl_s\"?, \"max_uses\"?}")?;
    let fleet: FleetName =
        asked
            .fleet
            .parse()
            .map_err(|error: krakend_domain::FleetNameError| {
                Failure::bad_request("bad-fleet-name", error.to_string())
            })?;
    if !(1..=100_000).contains(&asked.max_uses) {
        return Err(Failure::bad_request(
            "bad-max-uses",
            "max_uses is 1 to 100000",
        ));
    }
    let token = JoinToken::generate();
    let expires_ms = expiry(asked.ttl_s)?;
    let command = Command::CreateJoinToken(JoinTokenRecord {
        id: token.id,
        fleet: fleet.clone(),
        secret_sha256: token.secret_sha256(),
        created_by: caller.name,
        expires_ms,
        max_uses: asked.max_uses,
        uses: 0,
        role: JoinRole::Node,
    });
    write::propose(&app, &headers, &[b"POST join token", &body], command).await?;
    let answer = api::JoinToken {
        id: token.id.to_string(),
        token: token.text(
            JoinRole::Node,
            &fleet,
            app.authority.fingerprint(),
            Vec::new(),
        ),
        fleet: fleet.to_string(),
        expires_at: rfc3339(expires_ms),
        max_uses: asked.max_uses,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], form: &str) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request("malformed", format!("the body must be {form}: {error}"))
    })
}

pub fn expiry(ttl_s: u64) -> Result<u64, Failure> {
    if !(1..=MAX_TTL_S).contains(&ttl_s) {
        return Err(Failure::bad_request(
            "bad-ttl",
            format!("ttl_s is 1 to {MAX_TTL_S} seconds"),
        ));
    }
    Ok(clock::now_ms() + ttl_s * 1000)
}
