//! Who asks, and what they may do.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use krakend_domain::{ClusterState, Digest, Role, TokenId};
use sha2::Digest as _;

use super::{cookie, problem::Failure};
use crate::{app::App, clock};

/// The bearer of a valid token or of a browser's session.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Of the token; what belongs to a caller is found by it.
    pub id: TokenId,
    /// Name of the token.
    pub name: String,
    pub role: Role,
    pub expires_ms: Option<u64>,
}

/// A caller who may at least read.
pub struct Viewer(pub Caller);
/// A caller who may publish and manage nodes.
pub struct Operator(pub Caller);
/// A caller who may manage tokens and the licence.
pub struct Admin(pub Caller);

impl Caller {
    pub fn of(app: &App, headers: &HeaderMap, method: &Method) -> Result<Self, Failure> {
        if let Some(token) = bearer(headers) {
            return Self::of_token(app, token);
        }
        if let Some(caller) = cookie::caller(app, headers) {
            // Another site can make a browser send the cookie, but not this header.
            if !method.is_safe() && !headers.contains_key("x-requested-with") {
                return Err(Failure::new(
                    StatusCode::FORBIDDEN,
                    "cross-site",
                    "a write with the browser's session needs the header X-Requested-With",
                ));
            }
            return Ok(caller);
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "send `Authorization: Bearer TOKEN`; the first token is in <data_dir>/admin-token of every manager",
        ))
    }

    /// Looks a token up by its SHA-256: what is compared is a digest, so timing tells nothing of the token.
    pub fn of_token(app: &App, token: &str) -> Result<Self, Failure> {
        let sha256 = Digest(sha2::Sha256::digest(token.trim().as_bytes()).into());
        let state = app.group.stale().state;
        if let Some((token, role)) = state.authenticate(&sha256, clock::decide_ms(&state)) {
            return Ok(Self {
                id: token.id,
                name: token.name.clone(),
                role,
                expires_ms: token.expires_ms,
            });
        }
        if state.meta().group_id.is_none() {
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-formed",
                "the group has not formed yet, so no token is known: /readyz says what it waits for",
            ));
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "bad-token",
            "this token is unknown, revoked or expired: the first token is in <data_dir>/admin-token of every manager",
        ))
    }

    /// Whether the token still stands.
    pub fn is_valid(&self, state: &ClusterState) -> bool {
        let now_ms = clock::decide_ms(state);
        let expired = self.expires_ms.is_some_and(|expires| now_ms >= expires);
        state.token(self.id).is_some() && !expired
    }

    fn at_least(self, role: Role) -> Result<Self, Failure> {
        if self.role >= role {
            return Ok(self);
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!(
                "the token {} has the role {:?}; this needs {role:?}",
                self.name, self.role
            ),
        ))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

macro_rules! extractor {
    ($name:ident, $role:expr) => {
        impl FromRequestParts<App> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
                Caller::of(app, &parts.headers, &parts.method)?
                    .at_least($role)
                    .map($name)
            }
        }
    };
}

extractor!(Viewer, Role::Viewer);
extractor!(Operator, Role::Operator);
extractor!(Admin, Role::Admin);
