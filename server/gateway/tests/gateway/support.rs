//! A backend, a gateway and a client, each on a free port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use krakend_gateway::{Engine, Server, Statistics, Strictness, parse};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What a backend saw of one request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub uri: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// A backend that answers by path and remembers what it was asked.
pub struct Backend {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Lets the requests to `/held` go.
    pub release: Arc<Notify>,
}

impl Backend {
    pub async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, release) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let backend = Backend {
            address,
            seen: seen.clone(),
            release: release.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, release) = (seen.clone(), release.clone());
                let service =
                    service_fn(move |request| answer(request, seen.clone(), release.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        backend
    }

    pub fn last(&self) -> Seen {
        self.seen
            .lock()
            .unwrap()
            .last()
            .expect("the backend was asked")
            .clone()
    }

    pub fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    release: Arc<Notify>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let path = parts.uri.path().to_owned();
    seen.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: body.clone(),
    });
    let (status, text) = match path.as_str() {
        "/user" => (200, r#"{"id": 7, "name": "Ada", "secret": "s"}"#.to_owned()),
        "/orders" => (201, r#"[{"id": 1}, {"id": 2}]"#.to_owned()),
        "/number" => (200, "42".to_owned()),
        "/text" => (200, "plain words".to_owned()),
        "/fails" => (503, r#"{"a": 1}"#.to_owned()),
        "/broken" => (200, "{\"a\": ".to_owned()),
        "/numbers" => (
            200,
            r#"{"big": 18446744073709551615, "f": 0.1, "one": 1.0, "t": "<a&b>"}"#.to_owned(),
        ),
        "/deep" => (
            200,
            r#"{"a": {"b": 1, "c": {"d": 2}}, "l": [{"x": 1}], "n": null}"#.to_owned(),
        ),
        "/null" => (200, "null".to_owned()),
        "/moved" => (302, String::new()),
        "/held" => {
            release.notified().await;
            (200, r#"{"held": true}"#.to_owned())
        }
        "/echo" => (418, String::from_utf8_lossy(&body).into_owned()),
        _ => (200, format!("{{\"path\": {path:?}}}")),
    };
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/x-test")
        .header("x-backend", "yes");
    if path == "/moved" {
        response = response.header("location", "/user");
    }
    Ok(response.body(Full::from(text)).unwrap())
}

/// A gateway with its statistics.
pub struct Gateway {
    pub engine: Engine,
    pub server: Server,
    pub statistics: Arc<Statistics>,
}

impl Gateway {
    /// One that serves these endpoints; `HOST` in them is the backend's address.
    pub fn start(backend: &Backend, endpoints: &str) -> Gateway {
        let gateway = Gateway::unconfigured();
        gateway.apply(backend, endpoints);
        gateway
    }

    pub fn unconfigured() -> Gateway {
        let statistics = Statistics::new();
        let engine = Engine::new(statistics.clone());
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), engine.clone()).unwrap();
        Gateway {
            engine,
            server,
            statistics,
        }
    }

    pub fn apply(&self, backend: &Backend, endpoints: &str) {
        let document = format!(
            r#"{{"version": 3, "host": ["http://{}"], "endpoints": [{endpoints}]}}"#,
            backend.address
        );
        let parsed = parse(document.as_bytes(), Strictness::Strict);
        let (config, _) = parsed.unwrap_or_else(|report| panic!("{report}\n{document}"));
        self.engine.apply(Arc::new(config)).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.local_addr())
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(&client(), Request::get(self.url(path))).await
    }
}

pub type TestClient = Client<HttpConnector, Full<Bytes>>;

pub fn client() -> TestClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub async fn send(client: &TestClient, request: http::request::Builder) -> Answer {
    send_body(client, request, "").await
}

pub async fn send_body(
    client: &TestClient,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> Answer {
    let request = request.body(Full::new(body.into())).unwrap();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// Waits until something is so, and fails when it does not become so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
