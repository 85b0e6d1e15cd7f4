//! Nodes beside the managers, for the workloads `seats`, `lifecycle` and `lease`: real `krakend-node` processes on hosts of their own,
//! what is done to them, and whether the group's word on them comes to be true.

mod converge;
mod leases;
mod machine;
mod plan;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::checker::{Leases, Shown};
use super::history::Clock;
use super::host::{Cut, Lab, Network};
use super::workload::{Client, Clients, Reply, Workload, rng};
use crate::http::Ask;
use crate::managers::write_private;
use crate::wait;
use machine::faketime;
use plan::{NodeFault, NodeStep, Scope, plan};

pub use machine::{Common, NodeMachine};

/// Nodes of a run.
const NODES: usize = 10;
/// Seats in `seats`: fewer than nodes, so that they are fought over.
const SEATS: u64 = 5;
/// From unreachable to down in these runs.
pub const GRACE_S: u64 = 6;
/// How long a lease is given in `lease`: short enough to run out again and again. Nothing else is scaled.
pub const LEASE_MS: u64 = 10_000;
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_secs(2);

/// All nodes of a run. Clones share them.
#[derive(Clone, Debug)]
pub struct Fleet {
    nodes: Arc<tokio::sync::Mutex<Vec<NodeMachine>>>,
    network: Network,
    /// Hosts of managers come first.
    managers: usize,
    clients: Clients,
    /// Seats of the licence.
    pub limit: u64,
    /// Whether some are stopped cleanly at the end: their seats are held, so only where there are enough.
    may_stop: bool,
    /// Whether leases run out in this run.
    short_leases: bool,
    seed: u64,
    shown: Arc<Mutex<Vec<Shown>>>,
    leases: Arc<Mutex<Leases>>,
    done: Arc<Mutex<Vec<Done>>>,
}

/// A fault that was carried out.
#[derive(Clone, Debug, serde::Serialize)]
struct Done {
    at_ns: u64,
    fault: NodeFault,
}

/// How many hosts the workloads need for nodes.
pub fn hosts(workloads: &[Workload]) -> usize {
    let wanted = [Workload::Seats, Workload::Lifecycle, Workload::Lease];
    match workloads.iter().any(|it| wanted.contains(it)) {
        true => NODES,
        false => 0,
    }
}

impl Fleet {
    /// Lays out the nodes, installs the licence and starts them all at once.
    ///
    /// # Errors
    /// The group does not take the licence, or a program cannot be started.
    pub async fn start(
        (lab, network): (&Lab, Network),
        options: &RunOptions,
        (clients, secret): (&Clients, &Path),
        managers: usize,
    ) -> Result<Self> {
        let scarce = options.workloads.contains(&Workload::Seats);
        let limit = if scarce { SEATS } else { NODES as u64 };
        install(options, clients, secret, limit).await?;
        let dir = std::fs::canonicalize(&options.dir)?;
        let token = join_token(clients).await?;
        let file = dir.join("node-join-token");
        write_private(&file, &token)?;
        let seeds: Vec<_> = (0..options.managers)
            .map(|host| lab.address(host))
            .collect();
        let program = options.program.with_file_name("krakend-node");
        let short_leases = options.workloads.contains(&Workload::Lease);
        if short_leases && faketime().is_none() {
            eprintln!("there is no libfaketime (package faketime): no clock jumps in this run");
        }
        let common = Common {
            dir: &dir,
            program: &program,
            seeds: &seeds,
            token: &file,
            planted: options.planted.as_deref(),
            clocks: short_leases,
            crowded: false,
        };
        let nodes =
            (0..NODES).map(|number| NodeMachine::new(lab, (managers + number, number), common));
        let mut nodes = nodes.collect::<Result<Vec<_>>>()?;
        for node in &mut nodes {
            node.start()?;
        }
        Ok(Self {
            nodes: Arc::new(tokio::sync::Mutex::new(nodes)),
            network,
            managers,
            clients: clients.clone(),
            limit,
            may_stop: !scarce,
            short_leases,
            seed: options.seed,
            shown: Arc::default(),
            leases: Arc::default(),
            done: Arc::default(),
        })
    }

    /// Faults of nodes for `time`, and a look at every manager again and again.
    pub fn trouble(
        &self,
        time: Duration,
        clock: Clock,
        stop: CancellationToken,
    ) -> tokio::task::JoinSet<()> {
        let mut tasks = tokio::task::JoinSet::new();
        let (faults, ended) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = faults.run(time, clock, &ended).await {
                eprintln!("the faults of nodes ended: {error:#}");
            }
        });
        for manager in self.clients.members() {
            tasks.spawn(self.clone().look(manager, stop.clone()));
        }
        if self.short_leases {
            for node in 0..NODES {
                tasks.spawn(self.clone().ask_node(node, stop.clone()));
            }
        }
        tasks
    }

    async fn run(&self, time: Duration, clock: Clock, stop: &CancellationToken) -> Result<()> {
        let began = clock.now_ns();
        let time_ms = u64::try_from(time.as_millis())?;
        let scope = Scope {
            nodes: NODES,
            time_ms,
            leases: self.short_leases,
        };
        for NodeStep { at_ms, fault } in plan(self.seed, scope) {
            let passed_ms = (clock.now_ns() - began) / 1_000_000;
            if passed_ms >= time_ms {
                break;
            }
            let wait = Duration::from_millis(at_ms.saturating_sub(passed_ms));
            if tokio::time::timeout(wait, stop.cancelled()).await.is_ok() {
                break;
            }
            let done = Done {
                at_ns: clock.now_ns(),
                fault: fault.clone(),
            };
            self.done
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(done);
            self.execute(&fault).await?;
        }
        Ok(())
    }

    async fn execute(&self, fault: &NodeFault) -> Result<()> {
        let pause = |ms: &u64| tokio::time::sleep(Duration::from_millis(*ms));
        match fault {
            NodeFault::Kill { nodes, ms } => {
                self.kill(nodes).await?;
                pause(ms).await;
                self.start_all().await
            }
            NodeFault::Stop { nodes, ms } => {
                let mut machines = self.nodes.lock().await;
                for number in nodes {
                    machines[*number].terminate()?;
                }
                for number in nodes {
                    machines[*number].ended().await?;
                }
                drop(machines);
                pause(ms).await;
                self.start_all().await
            }
            NodeFault::Pause { nodes, ms } => {
                self.pause(nodes, true).await?;
                pause(ms).await;
                self.pause(nodes, false).await
            }
            NodeFault::Cut { nodes, ms } => {
                self.cut(nodes).await?;
                pause(ms).await;
                self.cut(&[]).await
            }
            NodeFault::Flap { nodes, times, ms } => {
                for _ in 0..*times {
                    self.cut(nodes).await?;
                    pause(ms).await;
                    self.cut(&[]).await?;
                    pause(ms).await;
                }
                Ok(())
            }
            NodeFault::CutManagers { nodes, deaf, ms } => {
                self.cut_managers(nodes, *deaf).await?;
                pause(ms).await;
                self.cut(&[]).await
            }
            NodeFault::Clock {
                nodes,
                days,
                crash,
                ms,
            } => {
                if *crash {
                    self.cut_managers(nodes, false).await?;
                }
                self.set_clocks(nodes, &format!("{days:+}d")).await?;
                if *crash {
                    self.kill(nodes).await?;
                    self.start_all().await?;
                }
                pause(ms).await;
                self.set_clocks(nodes, "+0").await?;
                self.cut(&[]).await
            }
        }
    }

    async fn set_clocks(&self, nodes: &[usize], offset: &str) -> Result<()> {
        let machines = self.nodes.lock().await;
        nodes
            .iter()
            .try_for_each(|number| machines[*number].set_clock(offset))
    }

    async fn kill(&self, nodes: &[usize]) -> Result<()> {
        let mut machines = self.nodes.lock().await;
        for number in nodes {
            machines[*number].kill().await?;
        }
        Ok(())
    }

    async fn pause(&self, nodes: &[usize], stop: bool) -> Result<()> {
        let mut machines = self.nodes.lock().await;
        for number in nodes {
            machines[*number].pause(stop)?;
        }
        Ok(())
    }

    async fn start_all(&self) -> Result<()> {
        let mut machines = self.nodes.lock().await;
        machines.iter_mut().try_for_each(NodeMachine::start)
    }

    /// These reach no manager and no other node, and nobody reaches them.
    async fn cut(&self, nodes: &[usize]) -> Result<()> {
        self.cut_from(nodes, self.managers + NODES, false).await
    }

    /// These reach no manager, and no manager reaches them; `deaf`: only the latter.
    async fn cut_managers(&self, nodes: &[usize], deaf: bool) -> Result<()> {
        self.cut_from(nodes, self.managers, deaf).await
    }

    /// Cut off from so many hosts, of which those of managers come first.
    async fn cut_from(&self, nodes: &[usize], hosts: usize, deaf: bool) -> Result<()> {
        let away: BTreeSet<usize> = nodes.iter().map(|node| self.managers + node).collect();
        let pairs = away
            .iter()
            .flat_map(|from| (0..hosts).map(move |to| (*from, to)));
        let cuts: BTreeSet<Cut> = pairs
            .filter(|(from, to)| from != to)
            .flat_map(|(from, to)| [Some((to, from)), (!deaf).then_some((from, to))])
            .flatten()
            .collect();
        let network = self.network.clone();
        tokio::task::spawn_blocking(move || network.set_nodes(&cuts)).await?
    }

    /// Everything connected, everybody running.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn heal(&self) -> Result<()> {
        self.cut(&[]).await?;
        let all: Vec<_> = (0..NODES).collect();
        self.set_clocks(&all, "+0").await?;
        self.pause(&all, false).await?;
        self.start_all().await
    }

    /// Names and own ports of the nodes that are members: who has no seat is not in gossip.
    ///
    /// # Errors
    /// No manager answers.
    pub async fn members(&self) -> Result<Vec<(String, std::net::SocketAddr)>> {
        let active = self.active().await?;
        let nodes = self.nodes.lock().await;
        let members = nodes.iter().filter(|node| active.contains(&node.name));
        Ok(members.map(|node| (node.name.clone(), node.api)).collect())
    }

    async fn look(self, manager: usize, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ask = Ask::get("/v1/nodes?consistency=stale");
            let reply = self.clients.send(manager, ask, LOOK).await;
            if let Some(list) = reply.json().filter(|_| self.short_leases) {
                self.leases().committed(&list, leases::now_ms());
            }
            if let Some(look) = shown(manager, &reply) {
                let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                // The same as before at another index says nothing new.
                if all.last().is_none_or(|last| *last != look) {
                    all.push(look);
                }
            }
            let _ = tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await;
        }
    }

    /// What the managers showed.
    pub fn shown(&self) -> Vec<Shown> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What was seen of leases; none where they do not run out.
    pub fn seen_leases(&self) -> Option<Leases> {
        self.short_leases.then(|| self.leases().clone())
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was done to nodes, and what was seen of their leases.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        super::history::write_lines(&dir.join("node-faults.jsonl"), &done)?;
        let Some(leases) = self.seen_leases() else {
            return Ok(());
        };
        super::history::write_lines(&dir.join("lease-ends.jsonl"), &leases.ends)?;
        super::history::write_lines(&dir.join("lease-looks.jsonl"), &leases.looks)
    }
}

fn shown(manager: usize, reply: &Reply) -> Option<Shown> {
    let index = reply.header("x-cluster-index")?.parse().ok()?;
    let list = reply.json()?;
    let nodes = list["nodes"].as_array()?;
    let seats = nodes.iter().filter(|node| node["holds_seat"] == true);
    Some(Shown {
        manager,
        index,
        seats: seats.count() as u64,
    })
}

/// Issues a licence with the program, and installs it.
///
/// # Errors
/// It is not taken.
pub async fn install(
    options: &RunOptions,
    clients: &Clients,
    secret: &Path,
    seats: u64,
) -> Result<()> {
    let issued = tokio::process::Command::new(&options.program)
        .args([
            "license",
            "issue",
            "--subscriber",
            "Jepsen",
            "--secret-file",
        ])
        .arg(secret)
        .args(["--max-nodes", &seats.to_string()])
        .output()
        .await
        .context("run `license issue`")?;
    let token = String::from_utf8_lossy(&issued.stdout).trim().to_owned();
    let ask = Ask::json("PUT", "/v1/license", &json!({ "token": token }));
    taken(clients, ask, "the licence is installed")
        .await
        .map(drop)
}

/// One for all nodes.
///
/// # Errors
/// No manager makes one.
pub async fn join_token(clients: &Clients) -> Result<String> {
    let body = json!({"fleet": "default", "ttl_s": 86_400, "max_uses": 1_000});
    let ask = Ask::json("POST", "/v1/join-tokens", &body);
    let made = taken(clients, ask, "a join token is made").await?;
    let token = made["token"].as_str().context("no token in the answer")?;
    Ok(token.to_owned())
}

async fn taken(clients: &Clients, ask: Ask, what: &str) -> Result<serde_json::Value> {
    let client: Client = clients.next();
    wait::until(what, WITHIN, async || {
        let reply = client.shared.send(0, ask.clone(), LOOK).await;
        Ok(match reply.json() {
            Some(json) => wait::Seen::Yes(json),
            None => wait::Seen::No(format!("{:?}", reply.outcome())),
        })
    })
    .await
}

/// What is random about nodes.
const LANE: usize = 30_001;

fn lane(seed: u64) -> rand::rngs::StdRng {
    rng(seed, LANE)
}
