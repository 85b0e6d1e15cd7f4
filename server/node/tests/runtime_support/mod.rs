//! A backend that counts, clients that keep their connections, and a runtime
//! in a directory of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use krakend_node::runtime::{self, Runtime, RuntimeChoice, RuntimeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// The KrakenD to test with. Where there is none: a failure with `CI=true`,
/// elsewhere a skip that is said.
pub fn krakend_program() -> Option<PathBuf> {
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/reference-krakend/krakend"
    );
    let program = std::env::var_os("KRAKEND_BIN").map_or_else(|| built.into(), PathBuf::from);
    if program.is_file() {
        return Some(program);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|v| v != "true"),
        "no KrakenD at {}",
        program.display()
    );
    eprintln!(
        "skipped: no KrakenD at {}; build deploy/reference-krakend or set KRAKEND_BIN",
        program.display()
    );
    None
}

/// Answers JSON, counts by path. `/held` waits until [`Backend::release`].
pub struct Backend {
    pub address: SocketAddr,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    last_headers: Arc<Mutex<Value>>,
    held: watch::Sender<bool>,
}

impl Backend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let backend = Self {
            address: listener.local_addr().expect("an address"),
            counts: Arc::default(),
            last_headers: Arc::default(),
            held: watch::Sender::new(true),
        };
        let (counts, headers, held) = (
            backend.counts.clone(),
            backend.last_headers.clone(),
            backend.held.clone(),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counts, headers, held) = (counts.clone(), headers.clone(), held.clone());
                let service = service_fn(move |request| {
                    answer(request, counts.clone(), headers.clone(), held.subscribe())
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { connection.await.unwrap_or_default() });
            }
        });
        backend
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    pub fn calls(&self, path: &str) -> u64 {
        self.counts
            .lock()
            .expect("counts")
            .get(path)
            .copied()
            .unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.counts.lock().expect("counts").values().sum()
    }

    pub fn last_header(&self, name: &str) -> Option<String> {
        let headers = self.last_headers.lock().expect("headers");
        headers.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Endpoints of each kind on this backend; `name` tells versions apart.
    pub fn document(&self, name: &str) -> Vec<u8> {
        let document = json!({
            "version": 3, "name": name, "timeout": "20s", "host": [format!("http://{}", self.address)],
            "endpoints": [
                {"endpoint": "/pass", "output_encoding": "no-op", "backend": [{"url_pattern": "/pass", "encoding": "no-op"}]},
                {"endpoint": "/send", "method": "POST", "output_encoding": "no-op",
                 "backend": [{"url_pattern": "/send", "encoding": "no-op"}]},
                {"endpoint": "/one", "backend": [{"url_pattern": format!("/one/{name}.json")}]},
                {"endpoint": "/two", "backend": [{"url_pattern": "/a", "group": "a"}, {"url_pattern": "/b", "group": "b"}]},
                {"endpoint": "/item/{id}", "backend": [{"url_pattern": "/item/{id}"}]},
                {"endpoint": "/held", "backend": [{"url_pattern": "/held"}]},
            ],
        });
        serde_json::to_vec(&document).expect("JSON")
    }
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    last_headers: Arc<Mutex<Value>>,
    mut held: watch::Receiver<bool>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let headers = request.headers().iter();
    let headers: BTreeMap<_, _> = headers
        .map(|(n, v)| (n.as_str(), v.to_str().unwrap_or("")))
        .collect();
    *last_headers.lock().expect("headers") = json!(headers);
    let received = request
        .into_body()
        .collect()
        .await
        .map(|b| b.to_bytes().len())
        .unwrap_or(0);
    *counts
        .lock()
        .expect("counts")
        .entry(path.clone())
        .or_default() += 1;
    if path == "/held" && held.wait_for(|h| !h).await.is_err() {
        return Ok(Response::new(Full::default()));
    }
    let text = json!({ "path": path, "received": received }).to_string();
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(text)).expect("a response"))
}

/// A runtime with its directory.
pub struct Running {
    pub runtime: Arc<dyn Runtime>,
    pub directory: TempDir,
}

impl Running {
    pub async fn start(kind: RuntimeChoice) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let work_dir = directory.path().join("gateway");
        let options = RuntimeOptions::new(kind, ([127, 0, 0, 1], 0).into(), work_dir);
        let runtime = runtime::start(options).await.expect("the runtime starts");
        Self { runtime, directory }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.runtime.local_addr())
    }

    pub async fn get(&self, client: &HttpClient, path: &str) -> (StatusCode, Bytes) {
        get(client, &self.url(path)).await.expect("an answer")
    }

    /// The gateway processes' ids, from their records.
    pub fn gateway_pids(&self) -> Vec<i32> {
        let directory =
            std::fs::read_dir(self.directory.path().join("gateway")).expect("a directory");
        let records = directory
            .flatten()
            .filter(|f| f.path().extension().is_some_and(|e| e == "pid"));
        let read = |f: std::fs::DirEntry| -> Option<Value> {
            serde_json::from_slice(&std::fs::read(f.path()).ok()?).ok()
        };
        let pids = records.filter_map(read).filter_map(|r| r["pid"].as_i64());
        pids.filter_map(|p| i32::try_from(p).ok()).collect()
    }
}

/// A client that keeps its connections.
pub fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

pub async fn get(client: &HttpClient, url: &str) -> Result<(StatusCode, Bytes), String> {
    request(
        client,
        Request::get(url).body(Full::default()).expect("a request"),
    )
    .await
}

pub async fn request(
    client: &HttpClient,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let response = client
        .request(request)
        .await
        .map_err(|e| format!("{e:?}"))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|e| format!("{e:?}"))?;
    Ok((status, body.to_bytes()))
}

/// Waits until `condition` holds; the test's patience is 20 s.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Clients that ask without pause until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<(u64, Vec<String>)>>,
}

impl Load {
    pub fn start(clients: usize, base: String, paths: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..clients)
            .map(|n| tokio::spawn(run_client(n, base.clone(), paths, stop.clone())))
            .collect();
        Self { stop, tasks }
    }

    /// How many were answered well, and what went wrong.
    pub async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let (mut good, mut bad) = (0, Vec::new());
        for task in self.tasks {
            let (g, b) = task.await.expect("a client");
            good += g;
            bad.extend(b);
        }
        (good, bad)
    }
}

async fn run_client(
    n: usize,
    base: String,
    paths: &'static [&'static str],
    stop: Arc<AtomicBool>,
) -> (u64, Vec<String>) {
    let client = client();
    let (mut good, mut bad) = (0, Vec::new());
    for path in paths.iter().cycle().skip(n) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let url = format!("{base}{path}");
        let asked = match *path {
            "/send" => Request::post(url).body(Full::from(vec![b'x'; 10_000])),
            _ => Request::get(url).body(Full::default()),
        };
        match request(&client, asked.expect("a request")).await {
            Ok((StatusCode::OK, _)) => good += 1,
            Ok((status, body)) => bad.push(format!("{path}: {status} {body:?}")),
            Err(error) => bad.push(format!("{path}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (good, bad)
}
