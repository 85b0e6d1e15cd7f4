//! Everything that a run has started, and how its parts find each other.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::Api;
use crate::backend::Backend;
use crate::ledger::Ledger;
use crate::managers::{self, Manager};
use crate::nodes::{self, Node};
use crate::options::Options;
use crate::traffic::{Target, Traffic};
use crate::wait::{Seen, until};

/// Managers of the group.
pub const MANAGERS: usize = 3;
/// From unreachable to down; sixty unless a setting says otherwise, five so that the scenario need not wait.
pub const GRACE_S: u64 = 5;
/// Requests per second over all nodes.
pub const REQUESTS_PER_S: u64 = 330;

/// A run's programs. Dropping it ends them all.
#[derive(Debug)]
pub struct Stage {
    pub options: Options,
    pub managers: Vec<Manager>,
    pub nodes: Vec<Node>,
    /// The one that finds no seat.
    pub refused: Option<Node>,
    pub backend: Backend,
    pub ledger: Ledger,
    pub traffic: Traffic,
    /// Known once the group has formed.
    pub api: Api,
    /// Digests of the versions published so far, oldest first.
    pub digests: Vec<String>,
    spare_node_ports: Vec<[u16; nodes::PORTS_EACH]>,
}

impl Stage {
    /// Chooses ports and writes settings; starts nothing but the sample backend.
    ///
    /// # Errors
    /// The directory is not empty or cannot be written, a program is missing, no ports.
    pub async fn prepare(mut options: Options, dashboard_port: Option<u16>) -> Result<Self> {
        std::fs::create_dir_all(&options.dir)
            .with_context(|| format!("make {}", options.dir.display()))?;
        options.dir = options.dir.canonicalize()?;
        if std::fs::read_dir(&options.dir)?.next().is_some() {
            bail!(
                "{} is not empty: name a new directory with --dir",
                options.dir.display()
            );
        }
        let node_count = options.nodes + 1;
        let ports = crate::ports::free(
            MANAGERS * managers::PORTS_EACH + node_count * nodes::PORTS_EACH + 1,
        )?;
        let (backend_port, ports) = ports.split_first().context("no ports")?;
        let (for_managers, for_nodes) = ports.split_at(MANAGERS * managers::PORTS_EACH);
        let program = options.program("krakend-cluster-manager")?;
        let mut managers = Vec::new();
        for (index, ports) in for_managers.as_chunks().0.iter().enumerate() {
            let mut ports = *ports;
            if let (0, Some(port)) = (index, dashboard_port) {
                ports[0] = crate::ports::prefer(port, ports[0]);
            }
            managers.push(Manager::new(index + 1, &options.dir, &program, ports)?);
        }
        let peers: Vec<_> = managers.iter().map(|manager| manager.managers).collect();
        let secret = options.dir.join("group-secret");
        managers::write_secret(&secret)?;
        for manager in &managers {
            manager.configure(&peers, &secret, GRACE_S)?;
        }
        let ledger = Ledger::default();
        Ok(Self {
            traffic: Traffic::new(ledger.clone(), REQUESTS_PER_S, options.nodes),
            ledger,
            backend: Backend::start(*backend_port).await?,
            api: Api::new(Vec::new(), String::new()),
            managers,
            nodes: Vec::new(),
            refused: None,
            digests: Vec::new(),
            spare_node_ports: for_nodes.as_chunks().0.to_vec(),
            options,
        })
    }

    /// Reads the admin's token, which appears at every manager when the group has formed.
    ///
    /// # Errors
    /// It is not there in time.
    pub async fn find_token(&mut self, limit: Duration) -> Result<()> {
        let mut token = String::new();
        for manager in &self.managers {
            let file = manager.admin_token();
            let what = format!("the admin's token in {}", file.display());
            token = until(&what, limit, || async {
                let text = std::fs::read_to_string(&file)?.trim().to_owned();
                Ok(if text.is_empty() {
                    Seen::No("an empty file".into())
                } else {
                    Seen::Yes(text)
                })
            })
            .await?;
        }
        self.api = Api::new(
            self.managers.iter().map(|manager| manager.http).collect(),
            token,
        );
        Ok(())
    }

    /// Issues a licence for `max_nodes` with the operator's command line and installs it.
    ///
    /// # Errors
    /// The command fails, or the licence is refused.
    pub async fn license(&self, max_nodes: usize) -> Result<()> {
        let mut command = Command::new(self.options.program("krakend-cluster-manager")?);
        command.args([
            "license",
            "issue",
            "--subscriber",
            "Sample",
            "--days",
            "365",
        ]);
        command
            .args(["--max-nodes", &max_nodes.to_string(), "--secret-file"])
            .arg(self.options.dir.join("group-secret"));
        let output = command
            .output()
            .context("run `krakend-cluster-manager license issue`")?;
        if !output.status.success() {
            bail!(
                "`license issue` ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        self.api
            .install_license(String::from_utf8_lossy(&output.stdout).trim())
            .await
    }

    /// Lays out the next node; its seed is another manager than that of the node before.
    ///
    /// # Errors
    /// More nodes than ports were kept for, or a file cannot be written.
    pub fn lay_out_node(&mut self, index: usize) -> Result<Node> {
        let ports = self
            .spare_node_ports
            .pop()
            .context("no ports left for another node")?;
        let seed = self.managers[index % self.managers.len()].nodes;
        Node::new(index, &self.options, seed, &self.join_token_file(), ports)
    }

    /// The join token that all nodes use.
    pub fn join_token_file(&self) -> PathBuf {
        self.options.dir.join("join-token")
    }

    /// What the API says of a node, by name.
    ///
    /// # Errors
    /// No manager answers, or none knows the node.
    pub async fn node_status(&self, index: usize) -> Result<Value> {
        let node = &self.nodes[index];
        let all = self.api.nodes().await?;
        let found = all.into_iter().find(|seen| seen["id"] == node.id.as_str());
        found.with_context(|| format!("{} ({}) is not in /v1/nodes", node.target.name, node.id))
    }

    /// Waits until the API says this state of a node.
    ///
    /// # Errors
    /// Not within `limit`.
    pub async fn until_node_is(&self, index: usize, state: &str, limit: Duration) -> Result<Value> {
        let what = format!("{} is {state}", self.nodes[index].target.name);
        until(&what, limit, || async {
            let seen = self.node_status(index).await?;
            Ok(if seen["state"] == state {
                Seen::Yes(seen)
            } else {
                Seen::No(seen["state"].to_string())
            })
        })
        .await
    }

    /// Waits until every node has acknowledged and serves this version.
    ///
    /// # Errors
    /// Not within `limit`.
    pub async fn until_all_serve(&self, version: u64, limit: Duration) -> Result<()> {
        until(
            &format!("every node has acknowledged version {version}"),
            limit,
            || async {
                let nodes = self.api.nodes().await?;
                let held: Vec<_> = nodes
                    .iter()
                    .filter(|node| node["applied_version"] == version && node["state"] == "active")
                    .collect();
                let say = || {
                    nodes.iter().map(|node| {
                        format!(
                            "{} {} {} {}",
                            node["name"], node["state"], node["applied_version"], node["refusal"]
                        )
                    })
                };
                Ok(if held.len() >= self.nodes.len() {
                    Seen::Yes(())
                } else {
                    Seen::No(say().collect::<Vec<_>>().join(", "))
                })
            },
        )
        .await?;
        for node in &self.nodes {
            self.until_serves(&node.target, version, limit).await?;
        }
        Ok(())
    }

    /// Waits until a node answers requests with this version.
    ///
    /// # Errors
    /// Not within `limit`.
    pub async fn until_serves(&self, target: &Target, version: u64, limit: Duration) -> Result<()> {
        until(
            &format!("{} serves version {version}", target.name),
            limit,
            || async {
                let served = crate::traffic::served_version(target, &self.ledger).await?;
                Ok(if served == Some(version) {
                    Seen::Yes(())
                } else {
                    Seen::No(format!("{served:?}"))
                })
            },
        )
        .await
    }

    /// The leader's index among the managers, waiting for one whose name is not `other_than`.
    ///
    /// # Errors
    /// None within `limit`.
    pub async fn until_leader(&self, other_than: Option<&str>, limit: Duration) -> Result<usize> {
        until("the group has a leader", limit, || async {
            let status = self.api.get("/v1/status").await?;
            let name = status["leader_name"].as_str();
            let found = name
                .filter(|name| Some(*name) != other_than)
                .and_then(|name| {
                    self.managers
                        .iter()
                        .position(|manager| manager.name == name)
                });
            Ok(found.map_or_else(|| Seen::No(format!("leader_name {name:?}")), Seen::Yes))
        })
        .await
    }

    /// Fails when traffic failed since `before`, with the first of these failures.
    ///
    /// # Errors
    /// As said.
    pub fn no_failures_since(&self, before: u64) -> Result<()> {
        let failed = self.ledger.failed_requests();
        if failed == before {
            return Ok(());
        }
        let first: Vec<String> = self
            .ledger
            .failures()
            .iter()
            .skip(usize::try_from(before)?)
            .take(5)
            .map(|f| format!("{} {} {}: {}", f.at, f.node, f.endpoint, f.reason))
            .collect();
        bail!(
            "{} requests failed:\n  {}",
            failed - before,
            first.join("\n  ")
        )
    }
}

/// What to look at and to try, for the demo's user.
pub fn guide(stage: &Stage, next_version: &std::path::Path) -> String {
    let manager = stage.options.bin_dir.join("krakend-cluster-manager");
    let server = format!(
        "--server http://{} --token-file {}",
        stage.managers[0].http,
        stage.managers[0].admin_token().display()
    );
    let cli = |arguments: &str| format!("{} {arguments} {server}", manager.display());
    let pid = |process: &Option<crate::process::Process>| {
        process.as_ref().map_or(0, crate::process::Process::pid)
    };
    let managers: Vec<String> = stage
        .managers
        .iter()
        .map(|one| {
            format!(
                "{} http://{} (pid {})",
                one.name,
                one.http,
                pid(&one.process)
            )
        })
        .collect();
    let nodes: Vec<String> = stage
        .nodes
        .iter()
        .map(|one| {
            format!(
                "{} http://{}/users/1 (pid {})",
                one.target.name,
                one.target.address,
                pid(&one.process)
            )
        })
        .collect();
    let last = stage.nodes.last().map_or(0, |node| pid(&node.process));
    format!(
        "\n  Dashboard    http://{}/\n  Admin token  {}\n\n  Managers     {}\n  Nodes        {}\n\n  To try, in another terminal:\n    {}\n    {}\n    kill -9 {last}      # a node: unreachable, then down; the others serve on\n    kill -9 {}      # a manager: another one leads, no request fails\n\n  Ctrl-C ends all of it. Files and logs: {}\n",
        stage.managers[0].http,
        stage.api.token(),
        managers.join("\n               "),
        nodes.join("\n               "),
        cli("status"),
        cli(&format!(
            "config publish {} -m \"The second version\"",
            next_version.display()
        )),
        stage.managers.last().map_or(0, |one| pid(&one.process)),
        stage.options.dir.display(),
    )
}
