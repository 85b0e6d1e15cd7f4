//! Managers that join, leave, move and are wiped: real programs, changed by an operator's commands or by themselves.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use jepsen_like_tests::{
    api::Api,
    http::Ask,
    managers::{write_private, write_secret},
    options::sibling_bin_dir,
    ports,
    process::Process,
    wait::{Seen, until},
};
use serde_json::{Value, json};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

/// A manager at an address of its own on the loopback network.
struct Manager {
    name: String,
    dir: PathBuf,
    ports: [u16; 3],
    ip: Ipv4Addr,
    process: Option<Process>,
}

impl Manager {
    fn new(dir: &Path, number: u8, ports: [u16; 3]) -> Result<Self> {
        let name = format!("manager-{number}");
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        Ok(Self {
            name,
            dir,
            ports,
            ip: Ipv4Addr::new(127, 0, 0, 10 + number),
            process: None,
        })
    }

    fn at(&self, port: usize) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.ip), self.ports[port])
    }

    /// `more`: what forms or joins the group.
    fn configure(&self, more: &str) -> Result<()> {
        let text = format!(
            "name: {}\ndata_dir: {}\nlisten_http: {}\nlisten_nodes: {}\nlisten_managers: {}\nadvertise: {}\ngrace_s: 5\npromote_after_s: 1\n{more}",
            self.name,
            self.dir.join("data").display(),
            self.at(0),
            self.at(1),
            self.at(2),
            self.ip,
        );
        Ok(std::fs::write(self.dir.join("cluster-manager.yml"), text)?)
    }

    fn start(&mut self) -> Result<()> {
        let program = sibling_bin_dir()?.join("krakend-cluster-manager");
        let settings = self.dir.join("cluster-manager.yml");
        let arguments = ["--settings", settings.to_str().context("a path")?];
        let process = Process::start(&self.name, &program, &arguments, &self.dir.join("log"))?;
        self.process = Some(process);
        Ok(())
    }

    async fn kill(&mut self) -> Result<()> {
        self.process.as_mut().context("not started")?.kill().await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

struct Group {
    dir: tempfile::TempDir,
    managers: Vec<Manager>,
    token: String,
}

impl Group {
    async fn start(count: u8) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let secret = dir.path().join("group-secret");
        write_secret(&secret)?;
        let ports = ports::free(3)?;
        let ports = [ports[0], ports[1], ports[2]];
        let managers: Result<Vec<_>> = (1..=count)
            .map(|n| Manager::new(dir.path(), n, ports))
            .collect();
        let mut managers = managers?;
        let peers: Vec<String> = managers.iter().map(|it| it.at(2).to_string()).collect();
        let more = format!(
            "peers: {}\nbootstrap_expect: {count}\nsecret_file: {}\n",
            json!(peers),
            secret.display()
        );
        for manager in &mut managers {
            manager.configure(&more)?;
            manager.start()?;
        }
        let token_file = managers[0].dir.join("data/admin-token");
        let token = until("the admin token", LIMIT, || async {
            Ok(match std::fs::read_to_string(&token_file) {
                Ok(token) => Seen::Yes(token.trim().to_owned()),
                Err(error) => Seen::No(error.to_string()),
            })
        })
        .await?;
        Ok(Self {
            dir,
            managers,
            token,
        })
    }

    /// Asks the managers that run.
    fn api(&self) -> Api {
        let running = self.managers.iter().filter(|it| it.process.is_some());
        Api::new(running.map(|it| it.at(0)).collect(), self.token.clone())
    }

    /// The operator's command line.
    async fn command(&self, arguments: &[&str]) -> Result<String> {
        let servers: Vec<_> = self
            .managers
            .iter()
            .map(|it| format!("http://{}", it.at(0)))
            .collect();
        let mut command = Command::new(sibling_bin_dir()?.join("krakend-cluster-manager"));
        command
            .args(arguments)
            .env("KRAKEND_CM_SERVER", servers.join(","))
            .env("KRAKEND_CM_TOKEN", &self.token)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await??;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {text}");
        Ok(text)
    }

    /// Waits until the list of managers is as `good` wants it.
    async fn managers(&self, what: &str, good: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let api = self.api();
        until(what, LIMIT, || async {
            let list = api.get("/v1/managers").await?;
            let list = list["managers"].as_array().cloned().unwrap_or_default();
            Ok(match good(&list) {
                true => Seen::Yes(list),
                false => Seen::No(json!(list).to_string()),
            })
        })
        .await
    }
}

fn named<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    list.iter().find(|it| it["name"] == name)
}

fn voters(list: &[Value]) -> usize {
    list.iter().filter(|it| it["voter"] == true).count()
}

fn position(group: &Group, name: &str) -> Result<usize> {
    let found = group.managers.iter().position(|it| it.name == name);
    found.with_context(|| format!("no {name}"))
}

fn leader(list: &[Value]) -> Result<String> {
    let leader = list.iter().find(|it| it["role"] == "leader");
    let name = leader.and_then(|it| it["name"].as_str());
    Ok(name.context("no leader")?.to_owned())
}

#[tokio::test]
async fn a_fourth_manager_joins_by_token_leads_and_is_removed() -> Result<()> {
    let mut group = Group::start(3).await?;
    group
        .managers("three voters", |list| voters(list) == 3)
        .await?;
    let invitation = group
        .command(&["managers", "add", "--output", "json"])
        .await?;
    let invitation: Value = serde_json::from_str(&invitation)?;
    let token = group.dir.path().join("manager-join-token");
    write_private(&token, invitation["token"].as_str().context("a token")?)?;
    let mut fourth = Manager::new(group.dir.path(), 4, group.managers[0].ports)?;
    let join = format!(
        "join: {}\njoin_token_file: {}\n",
        invitation["join"],
        token.display()
    );
    fourth.configure(&join)?;
    fourth.start()?;
    group.managers.push(fourth);
    let list = group.managers("a learner, then a voter", |list| voters(list) == 4);
    let list = list.await?;
    ensure!(named(&list, "manager-4").is_some(), "{list:?}");
    let said = group
        .command(&["managers", "transfer-leadership", "manager-4"])
        .await?;
    ensure!(said.contains("manager-4 leads"), "{said}");
    let list = group.managers("it leads", |list| {
        leader(list).is_ok_and(|it| it == "manager-4")
    });
    list.await?;
    // It is removed while it leads: it hands over first.
    group.command(&["managers", "remove", "manager-4"]).await?;
    let list = group
        .managers("three again", |list| list.len() == 3)
        .await?;
    ensure!(named(&list, "manager-4").is_none(), "{list:?}");
    let events = group.command(&["events", "--limit", "50"]).await?;
    for words in [
        "manager-4 is a voter",
        "manager-4 was given the lead",
        "manager-4 was removed: admin",
    ] {
        ensure!(events.contains(words), "{words} is not in {events}");
    }
    // The token was good once.
    let mut fifth = Manager::new(group.dir.path(), 5, group.managers[0].ports)?;
    fifth.configure(&join)?;
    fifth.start()?;
    let status = fifth
        .process
        .as_mut()
        .context("started")?
        .wait(LIMIT)
        .await?;
    ensure!(status.code() == Some(78), "{status}: {}", fifth.log());
    ensure!(
        fifth.log().contains("has been used 1 times"),
        "{}",
        fifth.log()
    );
    Ok(())
}

#[tokio::test]
async fn a_wiped_manager_comes_back_under_a_new_id_and_its_old_one_goes() -> Result<()> {
    let mut group = Group::start(3).await?;
    let list = group
        .managers("three voters", |list| voters(list) == 3)
        .await?;
    let old = named(&list, "manager-2").context("manager-2")?["id"].clone();
    let second = &mut group.managers[1];
    second.kill().await?;
    std::fs::remove_dir_all(second.dir.join("data"))?;
    second.start()?;
    group
        .managers("three voters, one of them new", |list| {
            list.len() == 3
                && voters(list) == 3
                && named(list, "manager-2").is_some_and(|it| it["id"] != old)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn all_managers_move_to_other_addresses_and_heal_through_a_node() -> Result<()> {
    let mut group = Group::start(3).await?;
    group
        .managers("three voters", |list| voters(list) == 3)
        .await?;
    let node = start_node(&group, "default").await?;
    // Each remembers whom gossip knows, the node among them.
    for manager in &group.managers {
        let file = manager.dir.join("data/gossip-members");
        until("the gossip members are remembered", LIMIT, || async {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            Ok(match text.contains(&node.gossip.to_string()) {
                true => Seen::Yes(()),
                false => Seen::No(text),
            })
        })
        .await?;
    }
    for manager in &mut group.managers {
        manager.kill().await?;
    }
    for manager in &mut group.managers {
        let settings = std::fs::read_to_string(manager.dir.join("cluster-manager.yml"))?;
        let lines: Vec<&str> = settings.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("peers"));
        // What forms the group stays as it was written on the first day.
        let more = lines[at.context("peers")?..].join("\n");
        let octets = manager.ip.octets();
        manager.ip = Ipv4Addr::new(127, 0, 1, octets[3]);
        manager.configure(&more)?;
        manager.start()?;
    }
    let list = group
        .managers("the membership has the new addresses", |list| {
            list.len() == 3
                && list.iter().all(|it| {
                    it["raft_address"]
                        .as_str()
                        .is_some_and(|it| it.starts_with("127.0.1."))
                })
        })
        .await?;
    ensure!(voters(&list) == 3, "{list:?}");
    let api = group.api();
    until("the node follows", LIMIT, || async {
        let nodes = api.nodes().await?;
        Ok(match nodes.iter().any(|it| it["state"] == "active") {
            true => Seen::Yes(()),
            false => Seen::No(json!(nodes).to_string()),
        })
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_write_right_after_the_leaders_sigterm_succeeds_and_no_election_is_waited_for()
-> Result<()> {
    let mut group = Group::start(3).await?;
    let list = group
        .managers("three voters", |list| voters(list) == 3)
        .await?;
    let first = leader(&list)?;
    let at = position(&group, &first)?;
    let process = group.managers[at].process.as_mut().context("started")?;
    process.terminate()?;
    let others: Vec<_> = group
        .managers
        .iter()
        .filter(|it| it.name != first)
        .map(|it| it.at(0))
        .collect();
    let api = Api::new(others, group.token.clone());
    for n in 0..20 {
        let path = format!("/v1/fleets/fleet-{n}");
        let ask = Ask {
            method: "PUT",
            path,
            ..Ask::default()
        };
        api.write(ask, LIMIT).await?;
    }
    let process = group.managers[at].process.as_mut().context("started")?;
    let status = process.wait(LIMIT).await?;
    ensure!(status.success(), "{status}");
    let log = group.managers[at].log();
    ensure!(!log.contains("stopping as leader"), "it handed over: {log}");
    Ok(())
}

#[tokio::test]
async fn a_node_lands_in_the_fleet_of_its_join_token() -> Result<()> {
    let group = Group::start(1).await?;
    let said = group.command(&["fleets", "create", "edge"]).await?;
    ensure!(said.contains("edge"), "{said}");
    let _node = start_node(&group, "edge").await?;
    let nodes = group.api().nodes().await?;
    ensure!(nodes[0]["fleet"] == "edge", "{nodes:?}");
    let list = group.command(&["fleets"]).await;
    ensure!(list.is_err(), "a command is needed");
    let list = group.command(&["fleets", "list"]).await?;
    ensure!(list.contains("edge") && list.contains("default"), "{list}");
    Ok(())
}

struct Node {
    gossip: SocketAddr,
    _process: Process,
}

/// Starts one node and waits until it is active.
async fn start_node(group: &Group, fleet: &str) -> Result<Node> {
    let dir = group.dir.path().join("node");
    std::fs::create_dir_all(&dir)?;
    let arguments = ["token", "create-join", "--fleet", fleet, "--ttl", "1h"];
    let token = group.command(&arguments).await?;
    write_private(&dir.join("join-token"), token.trim())?;
    let ports = ports::free(3)?;
    let [public, gossip, api] = [0, 1, 2].map(|n| ports::loopback(ports[n]));
    let settings = dir.join("service.yml");
    let text = format!(
        "seed: {}\nname: node\ndata_dir: {}\njoin_token_file: {}\nlisten: {public}\ngossip_listen: {gossip}\napi_listen: {api}\ngateway: embedded\n",
        group.managers[0].at(1),
        dir.join("data").display(),
        dir.join("join-token").display(),
    );
    std::fs::write(&settings, text)?;
    let program = sibling_bin_dir()?.join("krakend-node");
    let arguments = ["--settings", settings.to_str().context("a path")?];
    let process = Process::start("node", &program, &arguments, &dir.join("log"))?;
    let client = group.api();
    let active = until("the node is active", LIMIT, || async {
        let nodes = client.nodes().await?;
        Ok(match nodes.iter().any(|it| it["state"] == "active") {
            true => Seen::Yes(()),
            false => Seen::No(json!(nodes).to_string()),
        })
    });
    if let Err(error) = active.await {
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        bail!("{error}: {log}");
    }
    Ok(Node {
        gossip,
        _process: process,
    })
}
