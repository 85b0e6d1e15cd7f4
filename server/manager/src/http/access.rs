//! Who asks, and what they may do.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Instant};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use krakend_domain::{
    AuditActor, AuditVia, ClusterState, Command, Digest, FleetName, JoinRole, NodeId, Role,
    TokenId, TokenRecord, TokenScope,
};
use sha2::Digest as _;
use tokio::sync::OwnedSemaphorePermit;

use super::{cookie, problem::Failure, stall::Peer, write::AUDIT_LEVEL};
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
    /// For the audit trail.
    pub origin: Origin,
    /// What narrows the role.
    pub scope: Option<TokenScope>,
    /// Whether the group keeps an audit trail.
    pub audited: bool,
    /// Held until the request ends.
    pub place: Option<Arc<OwnedSemaphorePermit>>,
}

/// Where a request came from, and what it was.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub address: Option<IpAddr>,
    /// A browser's session, as opposed to a token.
    pub web: bool,
    /// Method and path.
    pub request: String,
    /// What is done, where the command alone does not say it.
    pub action: Option<&'static str>,
}

impl FromRequestParts<App> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        Ok(Self {
            address: peer.map(|peer| peer.0.address.ip().to_canonical()),
            web: false,
            request: format!("{} {}", parts.method, parts.uri.path()),
            action: None,
        })
    }
}

/// A caller who may at least read.
pub struct Viewer(pub Caller);
/// A caller who may publish and manage nodes.
pub struct Operator(pub Caller);
/// A caller who may manage tokens and the licence.
pub struct Admin(pub Caller);

impl Caller {
    pub fn of(
        app: &App,
        headers: &HeaderMap,
        method: &Method,
        origin: Origin,
    ) -> Result<Self, Failure> {
        if let Some(token) = bearer(headers) {
            return Self::of_token(app, token, origin)?.begin(app);
        }
        if let Some(caller) = cookie::caller(app, headers, origin) {
            // Another site can make a browser send the cookie, but not this header.
            if !method.is_safe() && !headers.contains_key("x-requested-with") {
                return Err(Failure::new(
                    StatusCode::FORBIDDEN,
                    "cross-site",
                    "a write with the browser's session needs the header X-Requested-With",
                ));
            }
            return caller.begin(app);
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "send `Authorization: Bearer TOKEN`; the first token is in <data_dir>/admin-token of every manager",
        ))
    }

    /// Looks a token up by its SHA-256: what is compared is a digest, so timing tells nothing of the token.
    pub fn of_token(app: &App, token: &str, origin: Origin) -> Result<Self, Failure> {
        let sha256 = Digest(sha2::Sha256::digest(token.trim().as_bytes()).into());
        let state = app.group.stale().state;
        let found = state.authenticate(&sha256, clock::decide_ms(&state));
        if found.is_none() && state.meta().group_id.is_none() {
            return Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-formed",
                "the group has not formed yet, so no token is known: /readyz says what it waits for",
            ));
        }
        let id = found.map(|(token, _)| token.id);
        app.http.limits.look(origin.address, id, Instant::now())?;
        let (token, role) = found.ok_or_else(|| {
            Failure::new(
                StatusCode::UNAUTHORIZED,
                "bad-token",
                "this token is unknown, revoked or expired: the first token is in <data_dir>/admin-token of every manager",
            )
        })?;
        Ok(Self::new(&state, (token, role), token.expires_ms, origin))
    }

    pub fn new(
        state: &ClusterState,
        (token, role): (&TokenRecord, Role),
        expires_ms: Option<u64>,
        origin: Origin,
    ) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            role,
            expires_ms,
            origin,
            scope: state.token_scope(token.id).cloned(),
            audited: state.meta().feature_level >= AUDIT_LEVEL,
            place: None,
        }
    }

    /// Its request begins, unless its token has reached a limit.
    fn begin(mut self, app: &App) -> Result<Self, Failure> {
        if let Some(scope) = &self.scope {
            self.place = app.http.limits.begin(self.id, scope, Instant::now())?;
        }
        Ok(self)
    }

    /// Whether a token that is bound to fleets may do this.
    pub fn may(&self, state: &ClusterState, command: &Command) -> Result<(), Failure> {
        let Some(scope) = self.scope.as_ref().filter(|it| !it.fleets.is_empty()) else {
            return Ok(());
        };
        let fleet = match command.plain() {
            Command::Publish(publication) | Command::PublishStaged { publication, .. } => {
                Some(&publication.fleet)
            }
            Command::CreateJoinToken(record) if record.role == JoinRole::Node => {
                Some(&record.fleet)
            }
            Command::LeaveNode { node_id, .. }
            | Command::DrainNode { node_id, .. }
            | Command::ReportRestart { node_id, .. } => {
                state.node(*node_id).map(|node| &node.fleet)
            }
            _ => None,
        };
        self.within(scope, fleet)
    }

    /// Refuses what is asked of a node outside of the token's fleets, for requests that are no command.
    pub fn may_change_node(&self, state: &ClusterState, node_id: NodeId) -> Result<(), Failure> {
        match self.scope.as_ref().filter(|it| !it.fleets.is_empty()) {
            None => Ok(()),
            Some(scope) => self.within(scope, state.node(node_id).map(|node| &node.fleet)),
        }
    }

    fn within(&self, scope: &TokenScope, fleet: Option<&FleetName>) -> Result<(), Failure> {
        if fleet.is_some_and(|fleet| scope.fleets.contains(fleet)) {
            return Ok(());
        }
        let names: Vec<_> = scope.fleets.iter().map(FleetName::as_str).collect();
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "outside-scope",
            format!(
                "the token {} changes what belongs to {} only",
                self.name,
                names.join(", ")
            ),
        ))
    }

    /// Says what is done, where the command alone does not.
    pub fn doing(mut self, action: &'static str) -> Self {
        self.origin.action = Some(action);
        self
    }

    /// Who it is, for the audit trail.
    pub fn actor(&self) -> AuditActor {
        let origin = &self.origin;
        AuditActor {
            token_id: Some(self.id),
            name: self.name.clone(),
            role: Some(self.role),
            address: origin.address.map(|it| it.to_string()),
            via: match origin.web {
                true => AuditVia::Web,
                false => AuditVia::Api,
            },
            request: origin.request.clone(),
            action: origin.action.map(Into::into),
        }
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
                let Ok(origin) = Origin::from_request_parts(parts, app).await;
                Caller::of(app, &parts.headers, &parts.method, origin)?
                    .at_least($role)
                    .map($name)
            }
        }
    };
}

extractor!(Viewer, Role::Viewer);
extractor!(Operator, Role::Operator);
extractor!(Admin, Role::Admin);
