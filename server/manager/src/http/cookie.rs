//! The browser's session: a token exchanged for a cookie that scripts cannot read.

use std::time::Duration;

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
    access::{Caller, Origin, Viewer},
    present,
    problem::Failure,
    write,
};
use crate::{app::App, clock, trust::Held};

const NAME: &str = "krakend_session";
const LIFETIME_S: u64 = 12 * 3600;
const TOLD_WITHIN: Duration = Duration::from_secs(2);

pub async fn current(Viewer(caller): Viewer) -> Json<Session> {
    Json(present::session(&caller))
}

pub async fn begin(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let login: LoginRequest = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"token\": …}}: {error}"),
        )
    })?;
    let caller = Caller::of_token(&app, &login.token, origin)?;
    told(&app, &caller, &headers).await;
    let sha256 = Digest(Sha256::digest(login.token.trim().as_bytes()).into());
    let expires_s = clock::decide_ms(&app.group.stale().state) / 1000 + LIFETIME_S;
    let value = seal(&app, &sha256, expires_s);
    let secure = secure(&app, &headers);
    let cookie =
        format!("{NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={LIFETIME_S}{secure}");
    Ok((
        [(header::SET_COOKIE, cookie)],
        Json(present::session(&caller)),
    )
        .into_response())
}

pub async fn end(State(app): State<App>, headers: HeaderMap) -> Response {
    let secure = secure(&app, &headers);
    let cookie = format!("{NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{secure}");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// Puts a login into the audit trail. Where the group cannot write, people must get in all the same.
async fn told(app: &App, caller: &Caller, headers: &HeaderMap) {
    let caller = Caller {
        // Who is bound to fleets may log in.
        scope: None,
        ..caller.clone()
    };
    let what = ("log-in", caller.name.clone(), None);
    let noted = tokio::time::timeout(TOLD_WITHIN, write::note(app, &caller, headers, what));
    if !matches!(noted.await, Ok(Ok(()))) {
        tracing::warn!("the login with {} is not in the audit trail", caller.name);
    }
}

/// Over HTTPS the browser is not to send it otherwise; a proxy in front that speaks HTTPS says so.
fn secure(app: &App, headers: &HeaderMap) -> &'static str {
    let proxied = headers.get("x-forwarded-proto");
    let proxied = proxied.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"https"));
    match app.settings.https.is_on() || proxied {
        true => "; Secure",
        false => "",
    }
}

/// The caller of a valid cookie whose token still is valid. Any manager of the group can tell.
pub fn caller(app: &App, headers: &HeaderMap, origin: Origin) -> Option<Caller> {
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
    let found = state.authenticate(&sha256.parse().ok()?, now_ms)?;
    let origin = Origin {
        web: true,
        ..origin
    };
    Some(Caller::new(&state, found, Some(expires_s * 1000), origin))
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
