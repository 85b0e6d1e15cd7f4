use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{
    Applied, Command, Digest, FleetName, JoinRole, JoinTokenRecord, Role, TokenRecord, TokenScope,
    Topic,
};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uuid::Uuid;

use super::{
    access::Admin,
    configuration::fleet_name,
    deadline::deadline,
    present,
    problem::Failure,
    read::{Read, answer, view},
    write::{self, Written},
};
use crate::{
    app::App,
    clock::{self, rfc3339},
    trust::JoinToken,
};

const MAX_TTL_S: u64 = 366 * 86_400;
/// Fleets that a token may be bound to.
const MAX_SCOPE: usize = 100;

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
    #[serde(default)]
    fleets: Vec<String>,
    requests_per_s: Option<u32>,
    concurrent: Option<u32>,
}

/// Query of the token list.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    /// Id after which the page begins.
    cursor: Option<Uuid>,
    limit: Option<usize>,
}

/// A token as lists show it.
#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    role: api::Role,
    created_by: String,
    expires_at: Option<String>,
    fleets: Vec<String>,
    requests_per_s: Option<u32>,
    concurrent: Option<u32>,
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

pub async fn list(
    State(app): State<App>,
    Admin(_): Admin,
    Query(query): Query<ListQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Tokens]).await?;
    let limit = query.limit.unwrap_or(1_000).clamp(1, 1_000);
    let after = |token: &&TokenRecord| query.cursor.is_none_or(|cursor| token.id > cursor);
    let tokens = view.state.tokens().filter(after).take(limit + 1);
    let mut tokens: Vec<_> = tokens
        .map(|token| shown(token, view.state.token_scope(token.id), None))
        .collect();
    let more = tokens.len() > limit;
    tokens.truncate(limit);
    let next_cursor = tokens.last().filter(|_| more).map(|it| it.id.clone());
    let body = serde_json::json!({ "tokens": tokens, "next_cursor": next_cursor });
    Ok(answer(&view, body))
}

fn shown(token: &TokenRecord, scope: Option<&TokenScope>, text: Option<String>) -> Shown {
    let scope = scope.cloned().unwrap_or_default();
    Shown {
        id: token.id.to_string(),
        name: token.name.clone(),
        role: present::role(token.role),
        created_by: token.created_by.clone(),
        expires_at: token.expires_ms.map(rfc3339),
        fleets: scope.fleets.iter().map(ToString::to_string).collect(),
        requests_per_s: scope.requests_per_s,
        concurrent: scope.concurrent,
        token: text,
    }
}

/// What is asked for beside the role; `None` where nothing is.
fn scope(asked: &Create) -> Result<Option<TokenScope>, Failure> {
    let limits = [asked.requests_per_s, asked.concurrent];
    if asked.fleets.is_empty() && limits == [None, None] {
        return Ok(None);
    }
    if asked.fleets.len() > MAX_SCOPE || limits.contains(&Some(0)) {
        return Err(Failure::bad_request(
            "bad-limits",
            format!("a token has at most {MAX_SCOPE} fleets, and limits of at least 1"),
        ));
    }
    if limits[1].is_some_and(|it| it > 100_000) || limits[0].is_some_and(|it| it > 1_000_000) {
        return Err(Failure::bad_request(
            "bad-limits",
            "requests_per_s is at most 1000000, concurrent at most 100000",
        ));
    }
    let fleets = asked.fleets.iter().map(|name| fleet_name(name));
    Ok(Some(TokenScope {
        fleets: fleets.collect::<Result<_, _>>()?,
        requests_per_s: asked.requests_per_s,
        concurrent: asked.concurrent,
    }))
}

pub async fn create(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: Create = parse(
        &body,
        "{\"name\", \"role\": viewer|operator|admin, \"ttl_s\"?, \"fleets\"?, \"requests_per_s\"?, \"concurrent\"?}",
    )?;
    if asked.name.is_empty() || asked.name.len() > 100 {
        return Err(Failure::bad_request(
            "bad-name",
            "a name has 1 to 100 characters",
        ));
    }
    let scope = scope(&asked)?;
    let id = Uuid::new_v4();
    let ring = app.trust.ring();
    let text = ring.in_use().token_text(id);
    let mut record = TokenRecord {
        id,
        name: asked.name,
        role: match asked.role {
            api::Role::Viewer => Role::Viewer,
            api::Role::Operator => Role::Operator,
            api::Role::Admin => Role::Admin,
        },
        sha256: Digest(sha2::Sha256::digest(text.as_bytes()).into()),
        created_by: caller.name.clone(),
        expires_ms: asked.ttl_s.map(|ttl_s| expiry(&app, ttl_s)).transpose()?,
    };
    let command = match scope.clone() {
        None => Command::CreateToken(record.clone()),
        Some(scope) => Command::CreateScopedToken {
            record: record.clone(),
            scope,
        },
    };
    let request: [&[u8]; 2] = [b"POST token", &body];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let (made, expires_ms) = created(&written)?;
    let text = match made == id {
        true => text,
        false => text_again(&app, &headers, made).await?,
    };
    (record.id, record.expires_ms) = (made, expires_ms);
    let answer = shown(&record, scope.as_ref(), Some(text));
    Ok(written.label((StatusCode::CREATED, Json(answer)).into_response()))
}

/// The text of a token that an earlier request made: whichever secret it derives from, that one is still held or not.
async fn text_again(app: &App, headers: &HeaderMap, id: Uuid) -> Result<String, Failure> {
    let view = app.group.linearizable(deadline(headers)?).await?;
    let kept = view.state.token(id).map(|token| token.sha256);
    let ring = app.trust.ring();
    let texts = ring.all().map(|held| held.token_text(id));
    let sha256 = |text: &String| Digest(sha2::Sha256::digest(text.as_bytes()).into());
    texts
        .into_iter()
        .find(|text| Some(sha256(text)) == kept)
        .ok_or_else(|| text_gone(id))
}

/// The join token that a request made: `asked`, or the one of an earlier request under the same key.
pub async fn join_token(
    app: &App,
    headers: &HeaderMap,
    asked: JoinToken,
    made: Uuid,
) -> Result<JoinToken, Failure> {
    if asked.id == made {
        return Ok(asked);
    }
    let view = app.group.linearizable(deadline(headers)?).await?;
    let kept = view.state.join_token(made).map(|token| token.secret_sha256);
    let ring = app.trust.ring();
    let tokens = ring.all().map(|held| held.join_token(made));
    tokens
        .into_iter()
        .find(|token| Some(token.secret_sha256()) == kept)
        .ok_or_else(|| text_gone(made))
}

fn text_gone(id: Uuid) -> Failure {
    Failure::new(
        StatusCode::CONFLICT,
        "token-text-gone",
        format!(
            "this request has made token {id} before, but its text cannot be given again: the token was revoked, or the group secret that the text derives from was removed; revoke the token and ask with another Idempotency-Key"
        ),
    )
}

/// Id and expiry of the token that was made: of the first one, when the request was repeated.
pub fn created(written: &Written) -> Result<(Uuid, Option<u64>), Failure> {
    match written.applied {
        Applied::TokenCreated { id, expires_ms } => Ok((id, expires_ms)),
        _ => Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            "the creation of a token was answered with something else",
        )),
    }
}

pub async fn revoke(
    State(app): State<App>,
    Admin(caller): Admin,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let command = Command::RevokeToken {
        id,
        by: caller.name.clone(),
    };
    let request: [&[u8]; 2] = [b"DELETE token", id.as_bytes()];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    Ok(written.no_content())
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
    let token = app.trust.ring().in_use().join_token(Uuid::new_v4());
    let expires_ms = expiry(&app, asked.ttl_s)?;
    let command = Command::CreateJoinToken(JoinTokenRecord {
        id: token.id,
        fleet: fleet.clone(),
        secret_sha256: token.secret_sha256(),
        created_by: caller.name.clone(),
        expires_ms,
        max_uses: asked.max_uses,
        uses: 0,
        role: JoinRole::Node,
    });
    let request: [&[u8]; 2] = [b"POST join token", &body];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let (id, expires_ms) = created(&written)?;
    let token = join_token(&app, &headers, token, id).await?;
    let answer = api::JoinToken {
        id: token.id.to_string(),
        token: token.text(JoinRole::Node, &fleet, Vec::new()),
        fleet: fleet.to_string(),
        expires_at: rfc3339(expires_ms.unwrap_or(u64::MAX)),
        max_uses: asked.max_uses,
    };
    Ok(written.label((StatusCode::CREATED, Json(answer)).into_response()))
}

pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], form: &str) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request("malformed", format!("the body must be {form}: {error}"))
    })
}

pub fn expiry(app: &App, ttl_s: u64) -> Result<u64, Failure> {
    if !(1..=MAX_TTL_S).contains(&ttl_s) {
        return Err(Failure::bad_request(
            "bad-ttl",
            format!("ttl_s is 1 to {MAX_TTL_S} seconds"),
        ));
    }
    Ok(clock::decide_ms(&app.group.stale().state) + ttl_s * 1000)
}
