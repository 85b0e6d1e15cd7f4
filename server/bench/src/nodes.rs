//! `nodes`: simulated nodes against three real managers. Each has an identity of its own (join token, certificate) and a session
//! over a TLS connection of its own, with heartbeats and statistics as `krakend-node` sends them. There is no gossip and no
//! gateway, so what is measured is what nodes cost the managers over TCP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hyper::Method;
use krakend_domain::{EndpointSample, Sample, Sketch};
use krakend_proto::encode_sample;
use krakend_proto::join::{Connection, JoinToken, connect, enrolment_tls};
use krakend_proto::node::manager_message::Message as In;
use krakend_proto::node::node_message::Message as Out;
use krakend_proto::node::{self as wire, NodeMessage};
use krakend_proto::tls::{TlsMaterial, TrustedTime, client_config};
use rand::RngCore;
use rcgen::{CertificateParams, KeyPair};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::args::{FillArguments, NodesArguments};
use crate::managers::Managers;
use crate::peer::{Peer, ready};

/// Of `fill`, for each node.
const ATTEMPTS: u32 = 20;
const ENROL_AT_ONCE: usize = 16;
const HEARTBEAT: Duration = Duration::from_secs(1);
const SAMPLE_PERIOD_MS: u64 = 10_000;
const LIMIT: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was measured.
#[derive(Debug, Serialize)]
pub struct NodesReport {
    pub nodes: usize,
    /// Whether the programs were built without optimisation.
    pub debug_build: bool,
    /// Join tokens exchanged for certificates, a second.
    pub enrolled_per_s: f64,
    /// From the moment at which all begin to join until the group shows all as active.
    pub all_active_s: f64,
    pub joins_per_s: f64,
    /// Of each manager, with all nodes at rest, in MiB.
    pub memory_mb: Vec<f64>,
    /// Of each manager, with all nodes at rest, in percent of one processor.
    pub cpu_percent: Vec<f64>,
    pub rest_s: f64,
}

/// Measures and prints what came of it.
///
/// # Errors
/// The group does not start, or nodes do not come in; data and logs stay then.
pub async fn run(arguments: &NodesArguments) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    std::fs::create_dir_all(&arguments.dir)?;
    let dir = arguments.dir.join(format!("nodes-{}", std::process::id()));
    let measured = tokio::select! {
        measured = measure(arguments, &dir) => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; data and logs are in {}", dir.display()),
    };
    let report = measured.with_context(|| format!("data and logs are in {}", dir.display()))?;
    std::fs::remove_dir_all(&dir)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.text());
    }
    Ok(())
}

async fn measure(arguments: &NodesArguments, dir: &Path) -> Result<NodesReport> {
    let mut managers = Managers::new(dir, &arguments.manager)?;
    managers.members_mut().start_all()?;
    ready(&mut managers).await?;
    license(&managers, &arguments.manager, arguments.nodes).await?;
    let token = join_token(&managers, arguments.nodes).await?;
    let token = JoinToken::parse(&token).map_err(|error| anyhow::anyhow!("the token: {error}"))?;
    let leader = managers.leader().await?;
    eprintln!("enrolling {} nodes", arguments.nodes);
    let began = Instant::now();
    let address = managers.nodes()[leader].to_string();
    let identities: Vec<Identity> = futures::stream::iter(0..arguments.nodes)
        .map(|_| enrol(&token, &address))
        .buffer_unordered(ENROL_AT_ONCE)
        .try_collect()
        .await?;
    let enrolled_s = began.elapsed().as_secs_f64();
    eprintln!("all join at once");
    let joined = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut sessions = tokio::task::JoinSet::new();
    for (number, identity) in identities.into_iter().enumerate() {
        let (joined, nodes) = (joined.clone(), managers.nodes().to_vec());
        sessions.spawn(async move { live(number, &identity, &nodes, leader, &joined).await });
    }
    all_active(&mut managers, arguments.nodes, began, &joined).await?;
    let all_active_s = began.elapsed().as_secs_f64();
    eprintln!(
        "all are active after {all_active_s:.1} s; at rest for {} s",
        arguments.rest_s
    );
    // The joins' own work is done.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = managers.members().cpu_s()?;
    let rest = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.rest_s)).await;
    let rest_s = rest.elapsed().as_secs_f64();
    let after = managers.members().cpu_s()?;
    let busy = before.iter().zip(&after);
    let cpu_percent = busy.map(|(before, after)| (after - before) * 100.0 / rest_s);
    let still = managers.active().await?;
    if still != arguments.nodes {
        bail!(
            "{still} of {} nodes are active after the rest",
            arguments.nodes
        );
    }
    managers.members_mut().expect_running()?;
    Ok(NodesReport {
        nodes: arguments.nodes,
        debug_build: cfg!(debug_assertions),
        enrolled_per_s: arguments.nodes as f64 / enrolled_s,
        all_active_s,
        joins_per_s: arguments.nodes as f64 / all_active_s,
        memory_mb: managers.members().memory_mb()?,
        cpu_percent: cpu_percent.collect(),
        rest_s,
    })
}

/// Registers nodes that then fall silent, and waits until the group holds all of them for down: what is measured next
/// finds them in the state and nowhere else.
///
/// # Errors
/// A node is not taken, or not all are down within ten minutes.
pub async fn populate(managers: &mut Managers, program: &Path, nodes: usize) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    license(managers, program, nodes).await?;
    let token = join_token(managers, nodes).await?;
    let token = JoinToken::parse(&token).map_err(|error| anyhow::anyhow!("the token: {error}"))?;
    let leader = managers.leader().await?;
    let address = managers.nodes()[leader].to_string();
    eprintln!("registering {nodes} nodes");
    register_all(nodes, &token, &address).await?;
    eprintln!("waiting until they count as down");
    let began = Instant::now();
    loop {
        let down = managers.nodes_down().await.unwrap_or(0);
        if down >= nodes {
            return Ok(());
        }
        managers.members_mut().expect_running()?;
        if began.elapsed() > LIMIT {
            bail!("{down} of {nodes} nodes are down after {LIMIT:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Registers nodes with a running group, for whoever wants to see what a large fleet looks like.
///
/// # Errors
/// The token cannot be read, or a node is not taken.
pub async fn fill(arguments: &FillArguments) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = &arguments.join_token_file;
    let token = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let token = JoinToken::parse(token.trim())
        .map_err(|error| anyhow::anyhow!("the token in {}: {error}", file.display()))?;
    futures::stream::iter(0..arguments.nodes)
        .map(|number| register_surely(number, &token, &arguments.leader))
        .buffer_unordered(ENROL_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// On a busy machine an answer may not come in time; then the node may be there twice.
async fn register_surely(number: usize, token: &JoinToken, address: &str) -> Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match register(number, token, address).await {
            Err(error) if attempt < ATTEMPTS => {
                eprintln!("node {number}: {error:#}; again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
}

async fn register_all(nodes: usize, token: &JoinToken, address: &str) -> Result<()> {
    futures::stream::iter(0..nodes)
        .map(|number| register(number, token, address))
        .buffer_unordered(ENROL_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

/// Enrols a node, has it take its seat, and ends its session.
async fn register(number: usize, token: &JoinToken, address: &str) -> Result<()> {
    let identity = enrol(token, address).await?;
    let mut connection = connect(address, identity.material.clone()).await?;
    let (out, outgoing) = mpsc::channel(1);
    let message = Some(hello(number, &identity));
    out.try_send(NodeMessage { message })
        .context("the channel is new")?;
    let incoming = connection.client.session(ReceiverStream::new(outgoing));
    let mut incoming = incoming.await?.into_inner();
    while let Some(message) = incoming.message().await? {
        match message.message {
            Some(In::Welcome(_)) => return Ok(()),
            Some(In::Redirect(_) | In::Refused(_) | In::Farewell(_)) => break,
            _ => {}
        }
    }
    bail!("node {number} was not taken")
}

async fn license(managers: &Managers, program: &Path, nodes: usize) -> Result<()> {
    let issued = tokio::process::Command::new(program)
        .args(["license", "issue", "--subscriber", "Bench", "--secret-file"])
        .arg(managers.secret())
        .args(["--max-nodes", &nodes.to_string()])
        .output()
        .await
        .context("run `license issue`")?;
    let token = String::from_utf8_lossy(&issued.stdout).trim().to_owned();
    let body = serde_json::json!({ "token": token }).to_string();
    managers
        .ask(Method::PUT, "/v1/license", body.into())
        .await
        .map(drop)
}

async fn join_token(managers: &Managers, uses: usize) -> Result<String> {
    let body = serde_json::json!({"fleet": "default", "ttl_s": 86_400, "max_uses": uses});
    let body = Bytes::from(body.to_string());
    let made = managers.ask(Method::POST, "/v1/join-tokens", body).await?;
    let made: serde_json::Value = serde_json::from_slice(&made)?;
    let token = made["token"].as_str().context("no token in the answer")?;
    Ok(token.to_owned())
}

/// What a node has after it enrolled.
struct Identity {
    material: Arc<rustls::ClientConfig>,
    store_id: [u8; 16],
}

async fn enrol(token: &JoinToken, address: &str) -> Result<Identity> {
    let mut connection = connect(address, enrolment_tls(token.ca_sha256)?).await?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let request = wire::EnrollRequest {
        token_id: token.id.as_bytes().to_vec().into(),
        token_secret: token.secret.to_vec().into(),
        csr_pem: request.pem()?,
        wanted_node_id: Bytes::new(),
    };
    let answer = connection.client.enroll(request).await?.into_inner();
    let material = TlsMaterial {
        roots_pem: answer.ca_pem,
        chain_pem: answer.certificate_pem,
        key_pem: key.serialize_pem().into(),
    };
    let mut store_id = [0; 16];
    rand::rng().fill_bytes(&mut store_id);
    Ok(Identity {
        material: client_config(&material, TrustedTime::unknown())?,
        store_id,
    })
}

/// One node's life: finds the leader, stays with it, comes back when it is lost.
async fn live(
    number: usize,
    identity: &Identity,
    nodes: &[SocketAddr],
    leader: usize,
    joined: &AtomicUsize,
) {
    let mut at = leader;
    loop {
        let address = nodes[at % nodes.len()].to_string();
        if let Ok(connection) = connect(&address, identity.material.clone()).await {
            let _ = session(number, identity, connection, joined).await;
        }
        at += 1;
        tokio::time::sleep(Duration::from_millis(200 + (number as u64 * 7) % 800)).await;
    }
}

fn hello(number: usize, identity: &Identity) -> Out {
    Out::Hello(wire::Hello {
        store_id: identity.store_id.to_vec().into(),
        name: format!("sim-{number:04}"),
        gateway_address: "127.0.0.1:8080".into(),
        gossip_address: String::new(),
        gateway_kind: "embedded".into(),
        gateway_version: "0".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        applied: None,
        ready: true,
        ..wire::Hello::default()
    })
}

async fn session(
    number: usize,
    identity: &Identity,
    mut connection: Connection,
    joined: &AtomicUsize,
) -> Result<()> {
    let (out, outgoing) = mpsc::channel(16);
    let say = |message| {
        let message = NodeMessage {
            message: Some(message),
        };
        out.try_send(message).context("the manager takes nothing")
    };
    say(hello(number, identity))?;
    let incoming = connection.client.session(ReceiverStream::new(outgoing));
    let mut incoming = incoming.await?.into_inner();
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut beats = number as u64 % 10;
    let mut stream = [0; 16];
    rand::rng().fill_bytes(&mut stream);
    let (mut seq, mut welcome) = (0, false);
    loop {
        tokio::select! {
            message = incoming.message() => {
                match message?.and_then(|message| message.message) {
                    Some(In::Welcome(_)) => {
                        welcome = true;
                        joined.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(In::Redirect(_) | In::Refused(_) | In::Farewell(_)) | None => return Ok(()),
                    Some(_) => {}
                }
            }
            _ = beat.tick() => {
                if !welcome {
                    continue;
                }
                say(Out::Heartbeat(wire::Heartbeat { ready: true, ..Default::default() }))?;
                beats += 1;
                if beats.is_multiple_of(SAMPLE_PERIOD_MS / 1000) {
                    seq += 1;
                    say(Out::Statistics(wire::StatisticsBatch {
                        stream: stream.to_vec().into(),
                        samples: vec![encode_sample(&sample(seq)).into()],
                    }))?;
                }
            }
        }
    }
}

/// Ten seconds of a gateway with five endpoints.
fn sample(seq: u64) -> Sample {
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    // Never across a minute's edge, as a node cuts them.
    let end_ms = now_ms / SAMPLE_PERIOD_MS * SAMPLE_PERIOD_MS;
    let endpoints = (0..5).map(|endpoint| {
        let mut latency = Sketch::default();
        (1..50).for_each(|ms| latency.add(f64::from(ms)));
        EndpointSample {
            endpoint: format!("/endpoint/{endpoint}"),
            method: "GET".into(),
            status: vec![(200, 49)],
            latency,
        }
    });
    Sample {
        seq,
        start_ms: end_ms - SAMPLE_PERIOD_MS,
        end_ms,
        endpoints: endpoints.collect(),
        backends: Vec::new(),
        connections: 10,
        memory_bytes: 50 << 20,
        cpu_ms: 500,
        restarts: 0,
    }
}

async fn all_active(
    managers: &mut Managers,
    nodes: usize,
    began: Instant,
    joined: &AtomicUsize,
) -> Result<()> {
    loop {
        let active = managers.active().await.unwrap_or(0);
        if active >= nodes {
            return Ok(());
        }
        managers.members_mut().expect_running()?;
        if began.elapsed() > LIMIT {
            let welcomed = joined.load(Ordering::Relaxed);
            bail!(
                "{active} of {nodes} nodes are active after {LIMIT:?}, {welcomed} sessions began"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl NodesReport {
    /// For people.
    pub fn text(&self) -> String {
        let list = |values: &[f64]| {
            let values: Vec<_> = values.iter().map(|value| format!("{value:.1}")).collect();
            values.join(", ")
        };
        let build = if self.debug_build {
            " (debug build)"
        } else {
            ""
        };
        format!(
            "{} simulated nodes, three managers{build}\nenrolled     {:.0} a second\nall active   {:.1} s after all began to join ({:.0} a second)\nmemory       {} MiB\nprocessor    {} % of one, over {:.0} s at rest",
            self.nodes,
            self.enrolled_per_s,
            self.all_active_s,
            self.joins_per_s,
            list(&self.memory_mb),
            list(&self.cpu_percent),
            self.rest_s
        )
    }
}
