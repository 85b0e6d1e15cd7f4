//! The sample backend: JSON documents over HTTP, and a count of every call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long `/slow` takes.
pub const SLOW: Duration = Duration::from_millis(1_000);

/// A running backend; ends when dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// By first part of the path (`/users`).
    calls: BTreeMap<String, u64>,
    slow_in_flight: usize,
}

impl Backend {
    /// Listens on `port` of loopback.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(port: u16) -> Result<Self> {
        let address = crate::ports::loopback(port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("the sample backend listens on {address}"))?;
        let state = Arc::new(Mutex::new(State::default()));
        let server = tokio::spawn(serve(listener, state.clone()));
        Ok(Self {
            address,
            state,
            server,
        })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls so far, by first part of the path.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.state).calls.clone()
    }

    /// Calls of `/slow` that wait for their answer now.
    pub fn slow_in_flight(&self) -> usize {
        lock(&self.state).slow_in_flight
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, say: a moment later there may be some.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            let mut server = hyper::server::conn::http1::Builder::new();
            // A gateway that goes away ends its connection with an error here; that is its affair.
            let _ = server
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let mut parts = request.uri().path().trim_start_matches('/').splitn(2, '/');
    let (kind, rest) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    *lock(&state).calls.entry(format!("/{kind}")).or_default() += 1;
    if kind == "slow" {
        lock(&state).slow_in_flight += 1;
        tokio::time::sleep(SLOW).await;
        lock(&state).slow_in_flight -= 1;
    }
    let (status, body) = match document(kind, rest) {
        Some(body) => (StatusCode::OK, body),
        None => (StatusCode::NOT_FOUND, json!({"error": "no such document"})),
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
}

fn document(kind: &str, rest: &str) -> Option<Value> {
    let number = rest.parse::<u64>().ok();
    match kind {
        "users" => number.map(|id| json!({"user_id": id, "name": format!("User {id}"), "mail": format!("user-{id}@example.org")})),
        "orders" => number.map(|id| json!({"order_id": id, "lines": [{"article": "gateway", "count": 3}], "open": id % 2 == 0})),
        "versions" => number.map(|version| json!({"version": version})),
        "documents" => Some(json!({"name": rest, "text": "passed on as it is"})),
        "slow" => Some(json!({"slow": true})),
        _ => None,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
