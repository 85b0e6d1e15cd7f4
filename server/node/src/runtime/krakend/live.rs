//! A KrakenD that serves, with all the front door needs to use it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use krakend_gateway::{RouteTable, Statistics};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Notify};

use super::client_ip::ClientIpRules;
use super::document::BackendName;
use super::gateway::GatewayProcess;
use super::stats::Ledger;

/// Bodies the front door sends on: the client's own, or none.
pub(crate) type UpstreamBody = Either<Incoming, Empty<Bytes>>;

/// An answer to the node's own questions must come at once.
const OWN_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// `/__stats` of a thousand endpoints is about two megabytes.
const MAX_STATS_BYTES: usize = 32 * 1024 * 1024;
/// KrakenD counts a call shortly after it has answered.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
const SETTLE_READS: usize = 20;

/// One serving KrakenD.
pub(crate) struct Live {
    pub(crate) process: GatewayProcess,
    /// What it was started from.
    pub(crate) file: PathBuf,
    pub(crate) port: u16,
    pub(crate) stats_port: u16,
    pub(crate) digest: [u8; 32],
    pub(crate) routes: Option<RouteTable>,
    pub(crate) rules: ClientIpRules,
    pub(crate) health_path: Option<String>,
    pub(crate) expects_health_200: bool,
    pub(crate) backend_names: HashMap<String, BackendName>,
    client: std::sync::Mutex<Client<HttpConnector, UpstreamBody>>,
    ledger: Mutex<Ledger>,
    in_flight: AtomicUsize,
    idle: Notify,
    /// Set before it is stopped on purpose: its end is then no accident.
    retired: AtomicBool,
}

/// What [`Live`] is made of beside its own parts.
pub(crate) struct LiveParts {
    pub(crate) process: GatewayProcess,
    pub(crate) file: PathBuf,
    pub(crate) port: u16,
    pub(crate) stats_port: u16,
    pub(crate) digest: [u8; 32],
    pub(crate) routes: Option<RouteTable>,
    pub(crate) rules: ClientIpRules,
    pub(crate) health_path: Option<String>,
    pub(crate) expects_health_200: bool,
    pub(crate) backend_names: HashMap<String, BackendName>,
}

fn client(idle_connections: usize) -> Client<HttpConnector, UpstreamBody> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(OWN_REQUEST_TIMEOUT * 5));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(idle_connections)
        .build(connector)
}

impl Live {
    pub(crate) fn new(parts: LiveParts) -> Self {
        Self {
            process: parts.process,
            file: parts.file,
            port: parts.port,
            stats_port: parts.stats_port,
            digest: parts.digest,
            routes: parts.routes,
            rules: parts.rules,
            health_path: parts.health_path,
            expects_health_200: parts.expects_health_200,
            backend_names: parts.backend_names,
            client: std::sync::Mutex::new(client(usize::MAX)),
            ledger: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            idle: Notify::new(),
            retired: AtomicBool::new(false),
        }
    }

    pub(crate) async fn send(
        &self,
        request: Request<UpstreamBody>,
    ) -> Result<Response<Incoming>, Error> {
        let client = self.client.lock();
        let client = client.unwrap_or_else(PoisonError::into_inner).clone();
        client.request(request).await
    }

    /// Counts a request in; the guard counts it out.
    pub(crate) fn enter(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(self)
    }

    /// Waits until no request is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// From now on no connection outlives its request: a KrakenD that is told to stop waits about five seconds
    /// for connections that are open and have carried no request yet.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        let mut pool = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        *pool = client(0);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Whether it answers its health check, with 200 where nothing in the
    /// configuration may interfere.
    pub(crate) async fn is_healthy(&self) -> bool {
        let path = self.health_path.as_deref().unwrap_or("/__health");
        let Some(response) = self.get(self.port, path).await else {
            return false;
        };
        !self.expects_health_200 || response.status() == StatusCode::OK
    }

    /// KrakenD's counters, or `None` when it shows none.
    pub(crate) async fn read_stats(&self) -> Option<Map<String, Value>> {
        let response = self.get(self.stats_port, "/__stats").await?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_STATS_BYTES).collect();
        let body = tokio::time::timeout(OWN_REQUEST_TIMEOUT, body)
            .await
            .ok()?
            .ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    }

    /// Adds what KrakenD counted since the last time; says how many calls.
    pub(crate) async fn collect(&self, statistics: &Statistics) -> u64 {
        // Held over the request: two readers must not count one call twice.
        let mut ledger = self.ledger.lock().await;
        let Some(stats) = self.read_stats().await else {
            return 0;
        };
        let mut total = 0;
        for new in ledger.advance(&stats) {
            let name = self.backend_names.get(&new.name);
            let host = name.map_or("", |n| n.host.as_str());
            let pattern = name.map_or(new.name.as_str(), |n| n.url_pattern.as_str());
            for index in 0..new.calls {
                let latency = new.latency.at(index, new.calls);
                statistics.record_backend(host, pattern, new.error, false, latency);
            }
            total += new.calls;
        }
        total
    }

    /// Collects until nothing new appears: for the last counters of a gateway
    /// without traffic.
    pub(crate) async fn collect_settled(&self, statistics: &Statistics) {
        for _ in 0..SETTLE_READS {
            let before = self.collect(statistics).await;
            tokio::time::sleep(SETTLE_PAUSE).await;
            if before == 0 || self.process.has_exited() {
                self.collect(statistics).await;
                return;
            }
        }
    }

    async fn get(&self, port: u16, path: &str) -> Option<Response<Incoming>> {
        let uri: Uri = format!("http://127.0.0.1:{port}{path}").parse().ok()?;
        let request = Request::get(uri).body(Either::Right(Empty::new())).ok()?;
        tokio::time::timeout(OWN_REQUEST_TIMEOUT, self.send(request))
            .await
            .ok()?
            .ok()
    }
}

/// A request that runs on a [`Live`] gateway.
pub(crate) struct InFlight(Arc<Live>);

impl InFlight {
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
