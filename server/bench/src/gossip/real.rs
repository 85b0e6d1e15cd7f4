//! Real UDP on loopback: a pool of ours in this process, one of memberlist in its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use krakend_gossip::{Config, Gossip, Key, KeyRing, MemberState, Role};
use serde::Deserialize;
use tokio::net::UdpSocket;
use tokio::process::Command;
use uuid::Uuid;

/// What a real pool did.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Until all knew, for the slowest death.
    pub all_s: f64,
    /// Payload that one member sent in quiet times.
    pub bytes_per_member_s: f64,
}

const QUIET: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(5);
const GIVE_UP: Duration = Duration::from_secs(120);

fn id(index: usize) -> Uuid {
    Uuid::from_u128(index as u128 + 1)
}

async fn start(index: usize) -> Result<(Gossip, SocketAddr)> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    let keys = KeyRing::new(vec![Key::new([1; 32])])?;
    let gossip = Gossip::start(socket, addr, id(index), Role::Node, keys, Config::lan()).await?;
    Ok((gossip, addr))
}

/// # Errors
/// The pool does not form, or a death is not known to all in time.
pub async fn ours(members: usize, deaths: usize) -> Result<Pool> {
    let mut pool = Vec::new();
    for index in 0..members {
        let (gossip, addr) = start(index).await?;
        if let Some((_, seed)) = pool.first() {
            gossip.join(&[*seed]);
        }
        pool.push((gossip, addr));
    }
    let alive = |gossip: &Gossip| {
        let members = gossip.members();
        members.iter().filter(|it| it.state.is_active()).count()
    };
    until("the pool forms", || {
        pool.iter().all(|(gossip, _)| alive(gossip) + 1 == members)
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    let sent = |pool: &[(Gossip, SocketAddr)]| -> u64 {
        pool.iter().map(|(it, _)| it.counters().bytes_out).sum()
    };
    let before = sent(&pool);
    tokio::time::sleep(QUIET).await;
    let bytes_per_member_s = (sent(&pool) - before) as f64 / members as f64 / QUIET.as_secs_f64();
    let mut all_s = 0.0f64;
    for _ in 0..deaths {
        let dead = id(pool.len() - 1);
        drop(pool.pop());
        let begin = Instant::now();
        let knows = |gossip: &Gossip| {
            let members = gossip.members();
            let it = members.iter().find(|it| it.id == dead);
            it.is_some_and(|it| it.state == MemberState::Down)
        };
        until("all know of a death", || {
            pool.iter().all(|(gossip, _)| knows(gossip))
        })
        .await?;
        all_s = all_s.max(begin.elapsed().as_secs_f64());
    }
    Ok(Pool {
        all_s,
        bytes_per_member_s,
    })
}

async fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > GIVE_UP {
            bail!("not within {GIVE_UP:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Report {
    all_s: Vec<f64>,
    bytes_per_member_s: f64,
}

/// # Errors
/// The program does not run, or says something else than its report.
pub async fn memberlist(program: &Path, members: usize, deaths: usize) -> Result<Pool> {
    let output = Command::new(program)
        .args(["-members", &members.to_string()])
        .args(["-kills", &deaths.to_string()])
        .args(["-quiet", &format!("{}s", QUIET.as_secs())])
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("start {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "memberlist failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let report: Report = serde_json::from_slice(&output.stdout).context("memberlist's report")?;
    Ok(Pool {
        all_s: report.all_s.into_iter().fold(0.0, f64::max),
        bytes_per_member_s: report.bytes_per_member_s,
    })
}
