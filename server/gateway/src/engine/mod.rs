//! The engine: a configuration's routes, swapped atomically, and what answers requests.

mod body;
mod client;
mod gateway;
mod headers;
mod manipulate;
mod proxy;
mod render;
mod route;
mod target;

#[cfg(test)]
mod tests;

pub use body::{Body, BodyError};
pub use headers::GATEWAY_VERSION;
pub use route::RouteTable;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::config::ServiceConfig;
use crate::statistics::{NO_ROUTE, Statistics};
use body::Recorder;
use client::HttpClient;
use gateway::Gateway;

/// Why a configuration was not taken. The engine goes on with what it had.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The document was parsed leniently and holds what only a real KrakenD can do.
    #[error("the embedded gateway cannot run this configuration: {}; remove this, or run the fleet on KrakenD", .0.join("; "))]
    Unsupported(Vec<String>),
    /// Two endpoints cannot be told apart.
    #[error("the endpoint {0} collides with another one; change its path")]
    RouteCollision(String),
    /// A backend cannot be called.
    #[error("the endpoint {endpoint} cannot be served: {reason}; correct the backend")]
    Backend {
        /// Method and pattern.
        endpoint: String,
        /// What is wrong with the backend.
        reason: String,
    },
}

/// The embedded gateway. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    statistics: Arc<Statistics>,
    client: HttpClient,
    gateway: RwLock<Option<Arc<Gateway>>>,
    draining: AtomicBool,
}

impl Engine {
    /// An engine without a configuration: it answers every request with 503 and is not ready.
    pub fn new(statistics: Arc<Statistics>) -> Self {
        let shared = Shared {
            statistics,
            client: client::new_client(),
            gateway: RwLock::new(None),
            draining: AtomicBool::new(false),
        };
        Engine {
            shared: Arc::new(shared),
        }
    }

    /// Serves new requests by this configuration; requests in flight end on the one they began with. On an error nothing changes.
    pub fn apply(&self, config: Arc<ServiceConfig>) -> Result<(), ApplyError> {
        let gateway = Arc::new(Gateway::new(config, &self.shared.statistics)?);
        *self
            .shared
            .gateway
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(gateway);
        Ok(())
    }

    /// Whether a configuration is being served.
    pub fn is_ready(&self) -> bool {
        self.gateway().is_some()
    }

    /// A draining gateway answers its health path with 503 and ends connections with their next answer, so that traffic
    /// goes elsewhere. Whatever comes all the same is served.
    pub fn set_draining(&self, draining: bool) {
        self.shared.draining.store(draining, Ordering::Relaxed);
    }

    /// Whether traffic is being sent elsewhere.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// The configuration that is being served.
    pub fn config(&self) -> Option<Arc<ServiceConfig>> {
        self.gateway().map(|gateway| gateway.config.clone())
    }

    /// What this engine counts into.
    pub fn statistics(&self) -> &Arc<Statistics> {
        &self.shared.statistics
    }

    /// Answers one request. The request is counted when the answer's body has been sent or dropped.
    pub async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        match self.gateway() {
            Some(gateway) => gateway.handle(&self.shared, request, peer).await,
            None => {
                let series = self
                    .shared
                    .statistics
                    .endpoint(NO_ROUTE, request.method().as_str());
                let message = json!({"message": "this gateway has no configuration yet; publish one for its fleet"});
                let response = render::json(StatusCode::SERVICE_UNAVAILABLE, message);
                counted(response, Recorder::new(series, Instant::now()))
            }
        }
    }

    pub(crate) fn read_header_timeout(&self) -> Option<Duration> {
        self.gateway()
            .and_then(|gateway| gateway.config.read_header_timeout)
    }

    fn gateway(&self) -> Option<Arc<Gateway>> {
        self.shared
            .gateway
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

/// Counts the request when the answer has been sent.
fn counted(response: Response<Body>, recorder: Recorder) -> Response<Body> {
    let recorder = recorder.answered(response.status());
    response.map(|body| body.recorded(recorder))
}
