//! Managers and nodes in network namespaces, what befalls them, and what was seen of their leases.

mod history;
mod node;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jepsen_like_tests::api::Api;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::managers::{write_private, write_secret};
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::robustness::host::{Cut, Lab, LabError, Machine, Way};
use jepsen_like_tests::wait::{Seen, until};
use tokio::task::JoinHandle;

pub use history::{History, Look, check};
use node::Node;

pub const MANAGERS: usize = 3;
pub const NODES: usize = 3;
/// What is scaled, and the only thing.
pub const LEASE_MS: u64 = 10_000;
/// See [`Cluster::fault`].
pub const FAULTS: usize = 9;
const FORMED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Everything that runs. The lab goes last: it ends what is in it.
pub struct Cluster {
    lookers: Vec<JoinHandle<()>>,
    history: Arc<Mutex<History>>,
    nodes: Vec<Node>,
    managers: Vec<Machine>,
    api: Api,
    lab: Lab,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Result<Self, LabError> {
        let lab = Lab::new(MANAGERS + NODES)?;
        Self::form(lab).await.map_err(LabError::Broken)
    }

    async fn form(lab: Lab) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let programs = sibling_bin_dir()?;
        let (managers, token) = form_group(&lab, dir.path(), &programs).await?;
        let servers = managers.iter().map(|it| it.http).collect();
        let api = Api::new(servers, token);
        let token_file = dir.path().join("join-token");
        let token = until("a join token", FORMED_WITHIN, || async {
            api.join_token().await.map(Seen::Yes)
        });
        write_private(&token_file, &token.await?)?;
        let mut nodes = Vec::new();
        for at in 0..NODES {
            let mut node = Node::new(&lab, MANAGERS + at, dir.path(), &programs, &token_file)?;
            node.start()?;
            nodes.push(node);
        }
        let mut cluster = Self {
            lookers: Vec::new(),
            history: Arc::default(),
            nodes,
            managers,
            api,
            lab,
            _dir: dir,
        };
        cluster.all_in_cluster(FORMED_WITHIN).await?;
        cluster.look();
        Ok(cluster)
    }

    /// Asks every node and every manager, again and again.
    fn look(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let (api, runs, history) = (node.api, node.runs.clone(), self.history.clone());
            self.lookers.push(tokio::spawn(async move {
                loop {
                    let (run, asked_ms) =
                        (runs.load(std::sync::atomic::Ordering::SeqCst), now_ms());
                    let status = Ask::get("/v1/status").send(api, ANSWER_WITHIN).await;
                    let status = status.and_then(|answer| answer.ok()?.json());
                    if let Ok(status) = status {
                        let look = Look {
                            node: at,
                            run,
                            asked_ms,
                            answered_ms: now_ms(),
                            licensed: status["mode"] == "cluster",
                            remaining_ms: status["lease"]["remaining_ms"].as_u64().unwrap_or(0),
                            id: status["node_id"].as_str().unwrap_or_default().to_owned(),
                        };
                        lock(&history).looked(look);
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }));
        }
        for manager in &self.managers {
            let (http, api, history) = (manager.http, self.api.clone(), self.history.clone());
            self.lookers.push(tokio::spawn(async move {
                loop {
                    let nodes = api.get_from(http, "/v1/nodes?consistency=stale");
                    if let Ok(Ok(nodes)) = tokio::time::timeout(ANSWER_WITHIN, nodes).await {
                        lock(&history).committed(&nodes);
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }));
        }
    }

    /// Waits until every node says that it is licensed and has a session.
    pub async fn all_in_cluster(&self, limit: Duration) -> Result<()> {
        until("every node is in the cluster", limit, || async {
            let mut joined = 0;
            let mut last = String::new();
            for node in &self.nodes {
                let status = Ask::get("/v1/status").send(node.api, ANSWER_WITHIN).await?;
                let status = status.ok()?.json()?;
                match status["mode"] == "cluster" && status["state"] == "joined" {
                    true => joined += 1,
                    false => last = status.to_string(),
                }
            }
            Ok(match joined == NODES {
                true => Seen::Yes(()),
                false => Seen::No(format!("{joined} of {NODES}: {last}")),
            })
        })
        .await
    }

    async fn leader(&self) -> usize {
        for (at, manager) in self.managers.iter().enumerate() {
            let status = self
                .api
                .get_from(manager.http, "/v1/status?consistency=stale");
            if let Ok(status) = status.await
                && status["leader_id"].is_string()
                && status["leader_id"] == status["answered_by"]
            {
                return at;
            }
        }
        0
    }

    /// Lets one thing go wrong for a while, and puts it right.
    pub async fn fault(&mut self, kind: usize, node: usize, hold: Duration) -> Result<()> {
        let wait = tokio::time::sleep(hold);
        let network = self.lab.network();
        match kind {
            0 => {
                eprintln!("node {node} is cut off from the managers for {hold:?}");
                network.set(&between(node..node + 1))?;
                wait.await;
                network.heal()?;
            }
            1 => {
                let hold = hold + Duration::from_millis(LEASE_MS);
                eprintln!("all nodes are cut off from the managers for {hold:?}");
                network.set(&between(0..NODES))?;
                tokio::time::sleep(hold).await;
                network.heal()?;
            }
            2 => {
                let leader = self.leader().await;
                eprintln!("the leader is killed for {hold:?}");
                self.managers[leader].kill().await?;
                wait.await;
                self.managers[leader].start()?;
            }
            3 => {
                let hold = hold + Duration::from_millis(LEASE_MS / 2);
                eprintln!("all managers are killed for {hold:?}");
                for manager in &mut self.managers {
                    manager.kill().await?;
                }
                tokio::time::sleep(hold).await;
                for manager in &mut self.managers {
                    manager.start()?;
                }
            }
            4 => {
                let leader = self.leader().await;
                eprintln!("the leader is paused for {hold:?}");
                self.managers[leader].pause(true)?;
                wait.await;
                self.managers[leader].pause(false)?;
            }
            5 => {
                let hold = hold + Duration::from_millis(LEASE_MS / 2);
                eprintln!("node {node} is paused for {hold:?}");
                self.nodes[node].pause(true)?;
                tokio::time::sleep(hold).await;
                self.nodes[node].pause(false)?;
            }
            6 => {
                eprintln!(
                    "node {node} crashes while it is cut off, and its clock goes back by a month"
                );
                network.set(&between(node..node + 1))?;
                self.nodes[node].set_clock("-30d")?;
                self.nodes[node].kill().await?;
                self.nodes[node].start()?;
                tokio::time::sleep(hold + Duration::from_millis(LEASE_MS / 2)).await;
                self.nodes[node].set_clock("+0")?;
                network.heal()?;
            }
            7 => {
                eprintln!("node {node}'s clock is a year ahead for {hold:?}");
                self.nodes[node].set_clock("+365d")?;
                wait.await;
                self.nodes[node].set_clock("+0")?;
            }
            _ => {
                eprintln!("node {node} hears nothing from the managers for {hold:?}, but speaks");
                let cuts = between(node..node + 1);
                let deaf = cuts.into_iter().filter(|(from, _)| *from < MANAGERS);
                network.set(&deaf.collect())?;
                wait.await;
                network.heal()?;
            }
        }
        Ok(())
    }

    /// Stops looking.
    pub async fn end(self) -> History {
        for looker in &self.lookers {
            looker.abort();
        }
        std::mem::take(&mut lock(&self.history))
    }
}

fn lock(history: &Mutex<History>) -> std::sync::MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ways between these nodes and all managers.
fn between(nodes: std::ops::Range<usize>) -> BTreeSet<Cut> {
    let pairs = nodes.flat_map(|node| (0..MANAGERS).map(move |it| (it, MANAGERS + node)));
    pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}

async fn form_group(lab: &Lab, dir: &Path, programs: &Path) -> Result<(Vec<Machine>, String)> {
    let secret = dir.join("group-secret");
    write_secret(&secret)?;
    let program = programs.join("krakend-cluster-manager");
    let mut managers = (0..MANAGERS)
        .map(|host| Machine::new(lab, host, dir, &program, None))
        .collect::<Result<Vec<_>>>()?;
    let peers = managers
        .iter()
        .map(|it| it.manager_address().to_string())
        .collect();
    let way = Way::Form { peers, secret };
    for manager in &mut managers {
        manager.configure(&way)?;
        let settings = manager.dir.join("cluster-manager.yml");
        let text = std::fs::read_to_string(&settings)?;
        // A node that is cut off keeps its seat for the whole test.
        let kept = text.lines().filter(|line| !line.starts_with("grace_s:"));
        let mut lines: Vec<_> = kept.map(str::to_owned).collect();
        lines.push(format!("lease_s: {}", LEASE_MS / 1000));
        lines.push("grace_s: 600".into());
        std::fs::write(&settings, lines.join("\n"))?;
        manager.start()?;
    }
    let file = managers[0].admin_token();
    let token = until("the admin's token is written", FORMED_WITHIN, || async {
        let text = std::fs::read_to_string(&file).context("read it")?;
        Ok(Seen::Yes(text.trim().to_owned()))
    });
    let token = token.await?;
    Ok((managers, token))
}
