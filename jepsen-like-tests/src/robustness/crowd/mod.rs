//! A crowd: a hundred node processes and three managers. All nodes restarted at once, half of them cut off and healed, one link that
//! flaps. States must come to be true on every manager, and nothing may be told that did not happen.

mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::RunOptions;
use super::checker::{Finding, Told};
use super::fleet::{Common, NodeMachine, install, join_token};
use super::history::{Clock, Recorder};
use super::host::{Cut, Lab, LabError, Network};
use super::run::forming::{form, prepare};
use super::workload::{Clients, Server};
use crate::http::Ask;
use crate::managers::write_private;
use crate::wait;
use story::{Fate, stories};

const NODES: usize = 100;
/// On the second host for nodes; on the third is the one whose link flaps.
const SECOND_HALF: std::ops::Range<usize> = 50..99;
const FLAPPING: usize = 99;
/// As long as a session's silence takes to be noticed, and a little more.
const CUT: Duration = Duration::from_secs(12);
const HEALED: Duration = Duration::from_secs(6);
const FLAPS: usize = 6;
/// A hundred debug builds that start at once share two processors.
const WITHIN: Duration = Duration::from_secs(420);
const LOOK: Duration = Duration::from_secs(10);

/// How it went.
#[derive(Debug)]
pub enum Crowded {
    Skipped(String),
    Done(Vec<Finding>),
}

struct Crowd {
    nodes: Vec<NodeMachine>,
    clients: Clients,
    network: Network,
    managers: usize,
}

/// Runs it. Managers, programs and directory are those of the options.
///
/// # Errors
/// It could not be carried out.
pub async fn crowd(options: &RunOptions, say: &mut dyn FnMut(&Finding)) -> Result<Crowded> {
    let managers = options.managers;
    let lab = match Lab::new(managers + 3) {
        Ok(lab) => lab,
        Err(LabError::NotPermitted(reason)) => return Ok(Crowded::Skipped(reason)),
        Err(LabError::Broken(error)) => return Err(error.context("make hosts")),
    };
    let prepared = prepare(&lab, options)?;
    let (machines, token) = form(prepared.machines).await?;
    let servers = machines.iter().map(|machine| Server {
        http: machine.http,
        starts: machine.starts(),
        member: Arc::new(AtomicBool::new(true)),
    });
    let recorder = Recorder::new(Clock::start());
    let clients = Clients::new(recorder, servers.collect(), &token, options.keys);
    install(options, &clients, &prepared.secret, NODES as u64).await?;
    let dir = std::fs::canonicalize(&options.dir)?;
    let file = dir.join("node-join-token");
    write_private(&file, &join_token(&clients).await?)?;
    let seeds: Vec<_> = (0..managers).map(|host| lab.address(host)).collect();
    let program = options.program.with_file_name("krakend-node");
    let common = Common {
        dir: &dir,
        program: &program,
        seeds: &seeds,
        token: &file,
        planted: None,
        clocks: false,
        crowded: true,
    };
    let nodes = (0..NODES).map(|number| {
        let host = match number {
            FLAPPING => 2,
            number => usize::from(SECOND_HALF.contains(&number)),
        };
        NodeMachine::new(&lab, (managers + host, number), common)
    });
    let mut crowd = Crowd {
        nodes: nodes.collect::<Result<_>>()?,
        clients,
        network: lab.network(),
        managers,
    };
    let mut findings = Vec::new();
    let mut found = |finding: Finding| {
        say(&finding);
        findings.push(finding);
    };
    let began = Instant::now();
    crowd.start_all()?;
    crowd.until_states(&|_| "active").await?;
    found(took("all-join", began));
    found(crowd.all_restart().await?);
    found(crowd.half_away().await?);
    found(crowd.one_flaps().await?);
    Ok(Crowded::Done(findings))
}

fn took(check: &'static str, began: Instant) -> Finding {
    Finding::pass(check, format!("{} s", began.elapsed().as_secs()))
}

impl Crowd {
    fn start_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(NodeMachine::start)
    }

    async fn all_restart(&mut self) -> Result<Finding> {
        let since = self.index().await?;
        for node in &mut self.nodes {
            node.kill().await?;
        }
        let began = Instant::now();
        self.start_all()?;
        self.until_joined().await?;
        self.until_states(&|_| "active").await?;
        let finding = self.told(since, "all-restart", |_| Fate::Restarted).await?;
        Ok(after(finding, began))
    }

    async fn half_away(&self) -> Result<Finding> {
        let since = self.index().await?;
        self.cut(Some(self.managers + 1))?;
        let away = |number| match SECOND_HALF.contains(&number) {
            true => "down",
            false => "active",
        };
        self.until_states(&away).await?;
        let began = Instant::now();
        self.cut(None)?;
        self.until_states(&|_| "active").await?;
        let fate = |number| match SECOND_HALF.contains(&number) {
            true => Fate::Away,
            false => Fate::Undisturbed,
        };
        let finding = self.told(since, "half-away", fate).await?;
        Ok(after(finding, began))
    }

    async fn one_flaps(&self) -> Result<Finding> {
        let since = self.index().await?;
        for _ in 0..FLAPS {
            self.cut(Some(self.managers + 2))?;
            tokio::time::sleep(CUT).await;
            self.cut(None)?;
            tokio::time::sleep(HEALED).await;
        }
        let began = Instant::now();
        self.until_states(&|_| "active").await?;
        let fate = |number| match number {
            FLAPPING => Fate::Flapped(FLAPS),
            _ => Fate::Undisturbed,
        };
        let finding = self.told(since, "one-flaps", fate).await?;
        Ok(after(finding, began))
    }

    /// One host and all others do not hear each other.
    fn cut(&self, away: Option<usize>) -> Result<()> {
        let others = (0..self.managers + 3).filter(|host| Some(*host) != away);
        let cuts: BTreeSet<Cut> = away
            .into_iter()
            .flat_map(|away| others.clone().flat_map(move |it| [(away, it), (it, away)]))
            .collect();
        self.network.set_nodes(&cuts)
    }

    async fn list(&self, manager: usize) -> Result<(u64, Vec<Value>)> {
        let ask = Ask::get("/v1/nodes?consistency=stale&limit=1000");
        let reply = self.clients.send(manager, ask, LOOK).await;
        let index = reply
            .header("x-cluster-index")
            .context("no index")?
            .parse()?;
        let list = reply.json().context("no list of nodes")?;
        Ok((index, list["nodes"].as_array().cloned().unwrap_or_default()))
    }

    /// Every manager shows what is true of every node.
    async fn until_states(&self, truth: &dyn Fn(usize) -> &'static str) -> Result<()> {
        wait::until("states are true on every manager", WITHIN, async || {
            for manager in 0..self.managers {
                let (_, nodes) = self.list(manager).await?;
                let states: BTreeMap<_, _> = nodes
                    .iter()
                    .filter_map(|it| Some((it["name"].as_str()?, it["state"].as_str()?)))
                    .collect();
                let wrong = self.nodes.iter().enumerate().filter(|(number, node)| {
                    states.get(node.name.as_str()).copied() != Some(truth(*number))
                });
                let wrong = wrong.count();
                if wrong > 0 {
                    let counts = nodes.iter().fold(BTreeMap::new(), |mut counts, it| {
                        *counts.entry(it["state"].to_string()).or_insert(0) += 1;
                        counts
                    });
                    return Ok(wait::Seen::No(format!(
                        "manager-{}: {wrong} are not as they should be: {counts:?}",
                        manager + 1
                    )));
                }
            }
            Ok(wait::Seen::Yes(()))
        })
        .await
    }

    /// Every node says itself that it has a session: until then a list may show how it was before.
    async fn until_joined(&self) -> Result<()> {
        wait::until("every node has a session", WITHIN, async || {
            for node in &self.nodes {
                let status = Ask::get("/v1/status")
                    .send(node.api, LOOK)
                    .await?
                    .ok()?
                    .json()?;
                if status["state"] != "joined" {
                    return Ok(wait::Seen::No(format!(
                        "{}: {}",
                        node.name, status["state"]
                    )));
                }
            }
            Ok(wait::Seen::Yes(()))
        })
        .await
    }

    /// Everything that is told from now on has a higher one.
    async fn index(&self) -> Result<u64> {
        Ok(self.list(0).await?.0)
    }

    async fn told(
        &self,
        since: u64,
        check: &'static str,
        fate: impl Fn(usize) -> Fate,
    ) -> Result<Finding> {
        let (_, nodes) = self.list(0).await?;
        let mut fates = BTreeMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let shown = nodes.iter().find(|it| it["name"] == node.name.as_str());
            let id = shown
                .and_then(|it| it["id"].as_str())
                .context("a node is missing")?;
            fates.insert(id.to_owned(), fate(number));
        }
        ensure!(fates.len() == NODES, "{} ids of {NODES} nodes", fates.len());
        let ask = Ask::get("/v1/events?history=true&limit=1000");
        let list = self.clients.send(0, ask, LOOK).await.json();
        let list = list.context("no events")?;
        let events = list["events"].as_array().context("no events")?;
        let mut told: Vec<_> = events.iter().filter_map(Told::read).collect();
        told.reverse();
        ensure!(
            told.first().is_some_and(|first| first.index <= since) || told.len() < 1_000,
            "more events than are looked at"
        );
        told.retain(|it| it.index > since);
        Ok(stories(check, &told, &fates))
    }
}

fn after(mut finding: Finding, began: Instant) -> Finding {
    let text = format!(
        "; true again {} s after it was over",
        began.elapsed().as_secs()
    );
    finding.detail.push_str(&text);
    finding
}
