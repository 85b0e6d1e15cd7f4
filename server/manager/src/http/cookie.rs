//! The browser's session: a token exchanged for a cookie that scripts cannot read.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use krakend_api::{LoginRequest, Session};
use krakend_domain::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    access::{Caller, Viewer},
    present,
    problem::Failure,
};
use crate::{app::App, clock, trust::Held};

const NAME: &str = "krakend_session";
const LIFETIME_S: u64 = 12 * 3600;

pub async fn current(Viewer(caller): Viewer) -> Json<Session> {
    Json(present::session(&caller))
}

pub async fn begin(State(app): State<App>, body: Bytes) -> Result<Response, Failure> {
    let login: LoginRequest = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"token\": …}}: {error}"),
        )
    })?;
    let caller = Caller::of_token(&app, &login.token)?;
    let sha256 = Digest(Sha256::digest(login.token.trim().as_bytes()).into());
    let expires_s = clock::decide_ms(&app.group.stale().state) / 1000 + LIFETIME_S;
    let value = seal(&app, &sha256, expires_s);
    let cookie = format!("{NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={LIFETIME_S}");
    Ok((
        [(header::SET_COOKIE, cookie)],
        Json(present::session(&caller)),
    )
        .into_response())
}

pub async fn end() -> Response {
    let cookie = format!("{NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// The caller of a valid cookie whose token still is valid. Any manager of the group can tell.
pub fn caller(app: &App, headers: &HeaderMap) -> Option<Caller> {
    let value = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))?;
    let (payload, tag) = value.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
    let ring = app.trust.ring();
    // A rotation signs nobody out.
    let sealed = |held: &Held| mac(held, payload).verify_slice(&tag).is_ok();
    ring.all().find(|held| sealed(held))?;
    let (sha256, expires_s) = payload.split_once('-')?;
    let expires_s: u64 = expires_s.parse().ok()?;
    let state = app.group.stale().state;
    let now_ms = clock::decide_ms(&state);
    if now_ms / 1000 >= expires_s {
        return None;
    }
    let (token, role) = state.authenticate(&sha256.parse().ok()?, now_ms)?;
    Some(Caller {
        id: token.id,
        name: token.name.clone(),
        role,
        expires_ms: Some(expires_s * 1000),
    })
}

fn seal(app: &App, sha256: &Digest, expires_s: u64) -> String {
    let payload = format!("{sha256}-{expires_s}");
    let tag = mac(app.trust.ring().in_use(), &payload)
        .finalize()
        .into_bytes();
    format!("{payload}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn mac(held: &Held, payload: &str) -> Hmac<Sha256> {
    let key = held.secret.derive("browser-session", b"");
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).unwrap_or_else(|_| unreachable!());
    mac.update(payload.as_bytes());
    mac
}
