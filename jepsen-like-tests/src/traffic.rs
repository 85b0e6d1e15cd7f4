//! Steady traffic on keep-alive connections, as clients behind a load balancer send it, and what counts as a failure.
//!
//! - Every answer other than the expected 200 with the expected body fails, and so do a reset, an end of the connection or a time-out
//!   while a request is under way, and a connection that cannot be made.
//! - A connection that the server closed *between* two requests (with `Connection: close` or by closing while idle, seen before the next
//!   request was written) is made anew and counts as nothing: HTTP/1.1 allows it at any time.
//! - A node that is told to stop by SIGTERM stays in the list. Everything above goes on to hold for it, with one exception: when it no
//!   longer accepts connections (refused), the client leaves it, as every balancer does; no request was on that connection. These are
//!   counted as `refused_connects`.
//! - A node is taken out of the list only before `kill -9`, and the requests under way are awaited first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::documents::{ENDPOINTS, SLOW, STEADY};
use crate::ledger::Ledger;

/// Connections to one node.
const CONNECTIONS: u64 = 8;
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// One node as its clients see it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Index in the ledger.
    pub index: usize,
    pub name: String,
    pub address: SocketAddr,
}

/// The traffic program.
#[derive(Debug)]
pub struct Traffic {
    ledger: Ledger,
    requests_per_s_each: u64,
    nodes: Vec<Stream>,
    next_id: Arc<AtomicU64>,
}

/// The traffic to one node.
#[derive(Debug)]
struct Stream {
    target: Target,
    flags: Arc<Flags>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Flags {
    leave: AtomicBool,
    stopping: AtomicBool,
}

impl Traffic {
    /// No traffic yet. `requests_per_s` is shared by `nodes` nodes.
    pub fn new(ledger: Ledger, requests_per_s: u64, nodes: usize) -> Self {
        let each = requests_per_s.div_ceil(nodes.max(1) as u64);
        Self {
            ledger,
            requests_per_s_each: each,
            nodes: Vec::new(),
            next_id: Arc::default(),
        }
    }

    /// Sends traffic to this node from now on.
    pub fn add(&mut self, target: Target) {
        self.nodes
            .retain(|stream| stream.target.index != target.index);
        let flags = Arc::new(Flags::default());
        let pace = Duration::from_micros(1_000_000 * CONNECTIONS / self.requests_per_s_each.max(1));
        let workers = (0..CONNECTIONS).map(|number| {
            let mut worker = Worker {
                client: Client::new(target.clone(), self.ledger.clone(), flags.clone()),
                next_id: self.next_id.clone(),
            };
            let offset = pace.mul_f64(number as f64 / CONNECTIONS as f64);
            tokio::spawn(async move { worker.run(offset, pace).await })
        });
        let workers = workers.collect();
        self.nodes.push(Stream {
            target,
            flags,
            workers,
        });
    }

    /// Takes a node out of the list, and waits for the requests under way.
    pub async fn remove(&mut self, index: usize) {
        let Some(at) = self
            .nodes
            .iter()
            .position(|stream| stream.target.index == index)
        else {
            return;
        };
        let stream = self.nodes.swap_remove(at);
        stream.flags.leave.store(true, Ordering::Relaxed);
        for worker in stream.workers {
            let _ = worker.await;
        }
    }

    /// Tells that this node is about to stop; see the module's description for the one thing that changes.
    pub fn is_stopping(&self, index: usize) {
        for stream in self
            .nodes
            .iter()
            .filter(|stream| stream.target.index == index)
        {
            stream.flags.stopping.store(true, Ordering::Relaxed);
        }
    }

    /// Ends all traffic and waits for the requests under way.
    pub async fn stop(&mut self) {
        let all: Vec<usize> = self
            .nodes
            .iter()
            .map(|stream| stream.target.index)
            .collect();
        for stream in &self.nodes {
            stream.flags.leave.store(true, Ordering::Relaxed);
        }
        for index in all {
            self.remove(index).await;
        }
    }

    /// Sends `count` requests to the slow endpoint of a node at once; the handle gives the number that ended well.
    pub fn slow_burst(&self, target: &Target, count: usize) -> JoinHandle<usize> {
        let requests: Vec<_> = (0..count)
            .map(|_| {
                let mut client = Client::new(target.clone(), self.ledger.clone(), Arc::default());
                tokio::spawn(async move { client.ask(SLOW, 0).await == Outcome::Good })
            })
            .collect();
        tokio::spawn(async move {
            let mut good = 0;
            for request in requests {
                good += usize::from(request.await.unwrap_or(false));
            }
            good
        })
    }
}

/// Half a wave of the traffic, in seconds: a rate that never moves cannot show that the dashboard does.
const HALF_WAVE_S: u64 = 4;
/// In the second half of a wave each so-many-th request is left out.
const EBB: u64 = 5;

/// Sends one request after the other at an even pace, a fifth fewer in every second half of a wave.
struct Worker {
    client: Client,
    next_id: Arc<AtomicU64>,
}

impl Worker {
    async fn run(&mut self, offset: Duration, pace: Duration) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + offset, pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = std::time::Instant::now();
        for tick in 0u64.. {
            ticks.tick().await;
            let ebbs = (start.elapsed().as_secs() / HALF_WAVE_S) % 2 == 1;
            if ebbs && tick % EBB == 0 && !self.client.flags.leave.load(Ordering::Relaxed) {
                continue;
            }
            if self.client.flags.leave.load(Ordering::Relaxed) {
                return;
            }
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let endpoint = STEADY.start + usize::try_from(id).unwrap_or_default() % STEADY.len();
            if self.client.ask(endpoint, id).await == Outcome::Gone {
                return;
            }
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Failed,
    /// A stopping node accepts no connection any more.
    Gone,
}

/// One connection to one node.
struct Client {
    target: Target,
    ledger: Ledger,
    flags: Arc<Flags>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    fn new(target: Target, ledger: Ledger, flags: Arc<Flags>) -> Self {
        Self {
            target,
            ledger,
            flags,
            connection: None,
        }
    }

    /// Sends one request and judges its answer.
    async fn ask(&mut self, endpoint: usize, id: u64) -> Outcome {
        let limit = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let mut sender = match self.connect().await {
                Ok(sender) => sender,
                Err(error) if self.is_gone(&error) => {
                    self.ledger.refused_connect();
                    return Outcome::Gone;
                }
                Err(error) => {
                    // No storm of connection attempts against a node that has just gone.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return self.fail(endpoint, format!("connect: {error}"));
                }
            };
            let sent =
                tokio::time::timeout_at(limit, self.exchange(&mut sender, endpoint, id)).await;
            return match sent {
                Err(_) => self.fail(
                    endpoint,
                    format!("no answer within {} s", TIMEOUT.as_secs()),
                ),
                Ok(Ok(keep)) => {
                    self.connection = keep.then_some(sender);
                    Outcome::Good
                }
                Ok(Err(Broken::NotSent)) => {
                    self.ledger.clean_reconnect();
                    continue;
                }
                Ok(Err(Broken::Failed(reason))) => self.fail(endpoint, reason),
            };
        }
    }

    /// The kept connection while it is open, otherwise a new one.
    async fn connect(&mut self) -> std::io::Result<SendRequest<Empty<Bytes>>> {
        if let Some(mut sender) = self.connection.take() {
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
            self.ledger.clean_reconnect();
        }
        let stream =
            tokio::time::timeout(TIMEOUT, TcpStream::connect(self.target.address)).await??;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        // Errors of the connection arrive at the request that is on it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn is_gone(&self, error: &std::io::Error) -> bool {
        error.kind() == std::io::ErrorKind::ConnectionRefused
            && self.flags.stopping.load(Ordering::Relaxed)
    }

    /// True when the connection can be used again.
    async fn exchange(
        &self,
        sender: &mut SendRequest<Empty<Bytes>>,
        endpoint: usize,
        id: u64,
    ) -> Result<bool, Broken> {
        let request = Request::get(ENDPOINTS[endpoint].path(id))
            .header(HOST, self.target.address.to_string());
        let request = request
            .body(Empty::new())
            .map_err(|error| Broken::Failed(error.to_string()))?;
        // A request that comes back unwritten was never on the wire.
        let answer =
            sender
                .try_send_request(request)
                .await
                .map_err(|error| match error.message() {
                    Some(_) => Broken::NotSent,
                    None => Broken::Failed(chain(error.error())),
                })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body
            .map_err(|error| Broken::Failed(format!("the answer's body: {error}")))?
            .to_bytes();
        self.ledger
            .answered(self.target.index, endpoint, head.status.as_u16());
        judge(head.status, &body, endpoint, id).map_err(Broken::Failed)?;
        let closing = head
            .headers
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if closing {
            self.ledger.clean_reconnect();
        }
        Ok(!closing)
    }

    fn fail(&self, endpoint: usize, reason: String) -> Outcome {
        self.ledger.failed(&self.target.name, endpoint, reason);
        Outcome::Failed
    }
}

enum Broken {
    NotSent,
    Failed(String),
}

fn judge(status: StatusCode, body: &[u8], endpoint: usize, id: u64) -> Result<(), String> {
    let excerpt = || {
        String::from_utf8_lossy(body)
            .chars()
            .take(200)
            .collect::<String>()
    };
    if status != StatusCode::OK {
        return Err(format!("answered {status}: {}", excerpt()));
    }
    match serde_json::from_slice(body) {
        Ok(value) if ENDPOINTS[endpoint].is_answer(id, &value) => Ok(()),
        _ => Err(format!(
            "answered 200 with another body than expected: {}",
            excerpt()
        )),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Asks a node once which version it serves, outside of the steady traffic.
///
/// # Errors
/// No connection or no answer. A status other than 200 is no error: `None`.
pub async fn served_version(target: &Target, ledger: &Ledger) -> Result<Option<u64>> {
    let endpoint = crate::documents::VERSION;
    let ask = crate::http::Ask::get(ENDPOINTS[endpoint].path(0));
    let answer = ask.send(target.address, Duration::from_secs(5)).await?;
    if answer.status != StatusCode::OK {
        // Without a configuration the node has no such endpoint, so it counts none.
        return Ok(None);
    }
    ledger.answered(target.index, endpoint, answer.status.as_u16());
    let version = answer.json()?["version"]
        .as_u64()
        .context("no version in the answer of /version")?;
    if version == 0 {
        bail!("{} serves version 0", target.name);
    }
    Ok(Some(version))
}
