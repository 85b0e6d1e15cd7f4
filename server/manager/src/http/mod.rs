//! Web interface and HTTP API on port 9897.

mod access;
mod alarms;
mod assets;
mod audit;
mod clock;
mod configuration;
mod cookie;
mod deadline;
mod difference;
mod discovery;
mod document;
mod events;
mod feature_level;
mod fleet_metrics;
mod fleets;
mod group;
mod https;
mod keyring;
mod large;
mod licensing;
mod limits;
mod managers;
mod metrics;
mod nodes;
mod openapi;
mod operations;
mod present;
mod problem;
mod raft_metrics;
mod read;
mod rollout;
mod secret;
mod shared;
mod snapshot;
mod stall;
mod statistics;
mod tokens;
mod twins;
mod watch;
mod write;

use std::net::IpAddr;

use anyhow::Context;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post, put},
};
use tokio::net::TcpListener;

use crate::app::App;

pub use present::license_of;
pub use shared::Shared;
pub use stall::bind;

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 2 << 20;

/// Serves until the manager stops.
pub async fn serve(app: App, listener: TcpListener) -> anyhow::Result<()> {
    let stop = app.stop.clone();
    tokio::spawn(watch::run(app.clone()));
    let dropped = app.http.counters.readers_dropped.clone();
    let listener = match app.settings.https.is_on() {
        false => stall::Guarded::plain(listener, dropped)?,
        true => {
            let address = listener.local_addr()?;
            stall::Guarded::tls(https::start(&app, listener)?, address, dropped)
        }
    };
    let service = router(app).into_make_service_with_connect_info::<stall::Peer>();
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the HTTP port failed")
}

fn router(app: App) -> Router {
    Router::new()
        .route("/livez", get(group::livez))
        .route("/readyz", get(group::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/openapi.json", get(openapi::document))
        .route(
            "/v1/session",
            get(cookie::current).post(cookie::begin).delete(cookie::end),
        )
        .route("/v1/status", get(group::status))
        .route("/v1/managers", get(group::managers).post(managers::add))
        .route("/v1/managers/{manager}", delete(managers::remove))
        .route("/v1/managers/{manager}/promote", post(managers::promote))
        .route("/v1/leadership", post(managers::transfer))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}", get(nodes::show).delete(nodes::remove))
        .route("/v1/nodes/{id}/drain", post(operations::drain))
        .route("/v1/nodes/{id}/undrain", post(operations::undrain))
        .route("/v1/nodes/{id}/restart", post(operations::restart))
        .route("/v1/nodes/{id}/log", get(operations::log))
        .route(
            "/v1/nodes/{id}/log-level",
            put(operations::set_node_log_level),
        )
        .route("/v1/log", get(operations::manager_log))
        .route(
            "/v1/log-level",
            get(operations::log_level).put(operations::set_log_level),
        )
        .route("/v1/fleets", get(fleets::list))
        .route("/v1/fleets/{fleet}", put(fleets::create))
        .route(
            "/v1/fleets/{fleet}/versions",
            get(configuration::list)
                .post(configuration::publish)
                .layer(DefaultBodyLimit::max(configuration::MAX_BODY_BYTES)),
        )
        .route(
            "/v1/fleets/{fleet}/versions/{number}",
            get(configuration::show),
        )
        .route(
            "/v1/fleets/{fleet}/versions/{number}/document",
            get(difference::export),
        )
        .route(
            "/v1/fleets/{fleet}/diff",
            get(difference::between)
                .post(difference::against)
                .layer(DefaultBodyLimit::max(configuration::MAX_BODY_BYTES)),
        )
        .route("/v1/fleets/{fleet}/rollback", post(difference::rollback))
        .route("/v1/fleets/{fleet}/rollout", get(rollout::show))
        .route(
            "/v1/fleets/{fleet}/check",
            post(configuration::check).layer(DefaultBodyLimit::max(configuration::MAX_BODY_BYTES)),
        )
        .route(
            "/v1/license",
            get(licensing::show)
                .put(licensing::install)
                .delete(licensing::remove),
        )
        .route("/v1/license/verify", post(licensing::check))
        .route("/v1/clock", get(clock::show))
        .route("/v1/clock/confirm", post(clock::confirm))
        .route("/v1/clock/reset", post(clock::reset))
        .route(
            "/v1/feature-level",
            get(feature_level::show).post(feature_level::raise),
        )
        .route("/v1/secret", get(secret::show))
        .route("/v1/secret/rotate", post(secret::rotate))
        .route("/v1/keyring", get(keyring::show).post(keyring::install))
        .route("/v1/keyring/{key}", delete(keyring::remove))
        .route("/v1/keyring/{key}/use", post(keyring::activate))
        .route("/v1/statistics", get(statistics::query))
        .route("/v1/discovery/prometheus", get(discovery::prometheus))
        .route("/v1/events", get(events::events))
        .route("/v1/audit", get(audit::list))
        .route("/v1/audit/export", get(audit::export))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .route("/v1/join-tokens", post(tokens::create_join))
        .route("/v1/snapshot", get(snapshot::save))
        .fallback(assets::serve)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(security_headers))
        .with_state(app)
}

/// What pages may load and ask; the dashboard's own page adds the other managers.
const SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

async fn security_headers(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/v1");
    let mut response = next.run(request).await;
    if api {
        response = problem::worded(response).await;
    }
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if api {
        set(header::CACHE_CONTROL, "no-store");
    }
    response
}

/// Whether an address reaches this machine only.
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
