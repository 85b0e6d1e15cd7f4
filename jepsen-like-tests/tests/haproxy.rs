//! Real nodes behind a real HAProxy with the configuration that is shipped: no request fails when a node is drained or
//! killed, every node gets its share, and one that joins gets traffic without an edit.

mod group;
mod pool;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::backend::Backend;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::ports::{self, loopback};
use jepsen_like_tests::process::Process;
use jepsen_like_tests::wait::{Seen, until};
use pool::Pool;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const CONFIGURATION: &str = include_str!("../../deploy/haproxy/haproxy.cfg");
const WORKERS: usize = 4;

/// One on the PATH, or Debian's package as `cargo xtask setup` unpacks it.
fn haproxy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("haproxy"));
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
    let unpacked = cache.join("krakend-cluster-manager/haproxy/usr/sbin/haproxy");
    on_path.chain([unpacked]).find(|path| path.is_file())
}

/// Says what was not tried, also to the file that `cargo xtask test` sums up from. With `CI=true` it is a failure.
fn skip(reason: &str) {
    use std::io::Write;
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{reason}; with CI=true that is a failure"
    );
    eprintln!("skipped: {reason}");
    let Some(file) = std::env::var_os("XTASK_SKIPS") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{reason}");
    }
}

struct Balancer {
    address: SocketAddr,
    socket: PathBuf,
    _process: Process,
}

impl Balancer {
    /// The shipped configuration with this test's addresses.
    async fn start(
        program: &Path,
        dir: &Path,
        dns: &[SocketAddr],
        agent_port: u16,
    ) -> Result<Self> {
        let address = loopback(ports::free(1)?[0]);
        let socket = dir.join("haproxy.sock");
        let mut text = CONFIGURATION.to_owned();
        let mut replace = |from: &str, to: &str| -> Result<()> {
            ensure!(
                text.contains(from),
                "the shipped configuration has no {from}"
            );
            text = text.replace(from, to);
            Ok(())
        };
        for (number, dns) in dns.iter().enumerate() {
            let number = number + 1;
            replace(&format!("192.168.1.10{number}:8600"), &dns.to_string())?;
        }
        replace("bind :80", &format!("bind {address}"))?;
        replace("agent-port 8090", &format!("agent-port {agent_port}"))?;
        // Debian's unit raises the limit of open files; a test may not.
        replace("maxconn 20000", "maxconn 2000")?;
        let stats = format!(
            "global\n    stats socket {} mode 600 level admin\n",
            socket.display()
        );
        replace("global\n", &stats)?;
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, text)?;
        // Libraries that were unpacked with it.
        let root = program.ancestors().nth(3).unwrap_or(Path::new("/"));
        let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|it| root.join("usr/lib").join(it).display().to_string())
            .join(":");
        let environment = [("LD_LIBRARY_PATH", libraries.as_str())];
        let file = file.display().to_string();
        let arguments = ["-db", "-f", file.as_str()];
        let log = dir.join("haproxy.log");
        let process = Process::start_with("haproxy", program, &arguments, &environment, &log)?;
        Ok(Self {
            address,
            socket,
            _process: process,
        })
    }

    /// By address of the node: what HAProxy calls its state, and how many requests it got.
    async fn nodes(&self) -> Result<BTreeMap<String, (String, u64)>> {
        let mut socket = UnixStream::connect(&self.socket).await?;
        socket.write_all(b"show stat -1 4 -1\n").await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        let mut lines = text.lines();
        let head = lines.next().context("a head")?.trim_start_matches("# ");
        let column = |name: &str| {
            let at = head.split(',').position(|it| it == name);
            at.with_context(|| format!("no column {name} in {head}"))
        };
        let (address, status, requests) = (column("addr")?, column("status")?, column("stot")?);
        let mut nodes = BTreeMap::new();
        for line in lines {
            let cells: Vec<_> = line.split(',').collect();
            let of = |at: usize| cells.get(at).copied().unwrap_or_default();
            // Free places of the template have no address.
            if !of(address).is_empty() && !of(status).starts_with("MAINT") {
                let requests = of(requests).parse().unwrap_or(0);
                nodes.insert(of(address).to_owned(), (of(status).to_owned(), requests));
            }
        }
        Ok(nodes)
    }

    async fn up(&self, count: usize) -> Result<()> {
        until(&format!("{count} nodes are up"), LIMIT, || async {
            let nodes = self.nodes().await?;
            let up = nodes.values().filter(|it| it.0.starts_with("UP")).count();
            Ok(match up == count {
                true => Seen::Yes(()),
                false => Seen::No(format!("{nodes:?}")),
            })
        })
        .await
    }

    /// So many requests by each worker, and how many each node got of them.
    async fn shares(&self, each: usize) -> Result<BTreeMap<String, u64>> {
        let before = self.nodes().await?;
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            let address = self.address;
            workers.spawn(async move {
                for _ in 0..each {
                    request(address).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        let after = self.nodes().await?;
        let shares = after.into_iter().map(|(address, (_, requests))| {
            let earlier = before.get(&address).map_or(0, |it| it.1);
            (address, requests - earlier)
        });
        Ok(shares.filter(|(_, share)| *share > 0).collect())
    }

    /// Every node gets its share, at the latest some seconds after it came back: its first checks may still be under way.
    async fn is_even(&self, each: usize, count: usize) -> Result<()> {
        until("every node gets its share", LIMIT, || async {
            let shares = self.shares(each).await?;
            Ok(match even(&shares, count) {
                Ok(()) => Seen::Yes(()),
                Err(error) => Seen::No(error.to_string()),
            })
        })
        .await
    }

    /// Requests all the time until told to end; how many there were. The first failure ends it.
    fn traffic(&self, stop: &Arc<AtomicBool>) -> tokio::task::JoinSet<Result<u64>> {
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            let (address, stop) = (self.address, stop.clone());
            workers.spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::SeqCst) {
                    request(address).await?;
                    count += 1;
                    // Bounded: what is tested is who answers, not how fast.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(count)
            });
        }
        workers
    }
}

async fn request(address: SocketAddr) -> Result<()> {
    let answer = Ask::get("/a").send(address, LIMIT).await?;
    ensure!(
        answer.status == 200,
        "{}: {}",
        answer.status,
        answer.excerpt()
    );
    Ok(())
}

async fn ended(mut workers: tokio::task::JoinSet<Result<u64>>, stop: &AtomicBool) -> Result<u64> {
    stop.store(true, Ordering::SeqCst);
    let mut all = 0;
    while let Some(done) = workers.join_next().await {
        all += done??;
    }
    Ok(all)
}

fn even(shares: &BTreeMap<String, u64>, count: usize) -> Result<()> {
    ensure!(
        shares.len() == count,
        "{count} nodes should have got traffic: {shares:?}"
    );
    let equal = shares.values().sum::<u64>() as f64 / count as f64;
    for (node, share) in shares {
        let off = (*share as f64 - equal).abs() / equal;
        ensure!(
            off <= 0.1,
            "{node} is {:.1} % off its share: {shares:?}",
            off * 100.0
        );
    }
    println!("{shares:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_no_request_fails_and_every_node_gets_its_share() -> Result<()> {
    let Some(program) = haproxy() else {
        skip("no haproxy on the PATH or unpacked: run `cargo xtask setup`");
        return Ok(());
    };
    let dns: Vec<_> = ports::free(3)?.into_iter().map(loopback).collect();
    let group = Group::start_each(3, |at| format!("listen_dns: {}\n", dns[at])).await?;
    let backend = Backend::start(ports::free(1)?[0]).await?;
    // Agents have one port on all nodes, as on machines of their own: each node has a loopback address of its own.
    let agent_port = ports::free(1)?[0];
    let host = |at: usize| Ipv4Addr::new(127, 0, 7, 1 + at as u8);
    let settings = |at: usize| {
        format!(
            "agent_check: {}\n",
            SocketAddr::from((host(at), agent_port))
        )
    };
    let mut pool = Pool::start_on(&group, 4, host, settings, 3).await?;
    pool.all_joined(LIMIT).await?;
    let document = json!({"version": 3, "endpoints": [{"endpoint": "/a", "backend": [
        {"url_pattern": "/documents/a", "host": [backend.url()]}]}]});
    pool.publish_document(&group, &document).await?;

    let balancer = Balancer::start(&program, group.dir.path(), &dns, agent_port).await?;
    balancer.up(3).await?;
    balancer.is_even(150, 3).await?;

    // Drained: nothing new goes there, and nothing fails.
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = balancer.traffic(&stop);
    let drain = |what: &str| {
        let ask = Ask::json(
            "POST",
            format!("/v1/nodes/{}/{what}", pool.id(0)),
            &json!({}),
        );
        group.ask(0, ask)
    };
    drain("drain").await?.ok()?;
    balancer.up(2).await?;
    let requests = ended(traffic, &stop).await?;
    ensure!(requests > 0, "no request was sent meanwhile");
    balancer.is_even(100, 2).await?;
    drain("undrain").await?.ok()?;
    balancer.up(3).await?;
    balancer.is_even(150, 3).await?;

    // Killed: the requests that it had are sent to others.
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = balancer.traffic(&stop);
    pool.kill(1).await?;
    balancer.up(2).await?;
    ensure!(
        ended(traffic, &stop).await? > 0,
        "no request was sent meanwhile"
    );
    balancer.is_even(100, 2).await?;

    // Joined: nobody edits anything. The free licence has three seats, so the dead one's must be given back first.
    let ask = Ask::json("DELETE", format!("/v1/nodes/{}", pool.id(1)), &json!({}));
    group.ask(0, ask).await?.ok()?;
    pool.join(3).await?;
    balancer.up(3).await?;
    balancer.is_even(150, 3).await?;

    // Without any manager the balancer goes on with what it knows.
    let mut group = group;
    for at in 0..3 {
        group.kill(at).await?;
    }
    balancer.is_even(100, 3).await?;
    Ok(())
}
