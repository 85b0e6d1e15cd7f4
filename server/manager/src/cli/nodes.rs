//! `nodes …`: single nodes by name or id.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask},
    commands::{delete, encode},
    nearest::hint,
    table::{Cell, Paint, Table},
    tables::{one_decimal, or_dash, word},
    watch::Watch,
};

const PAGE: usize = 1_000;
/// The new gateway has to become healthy first.
const RESTART_WITHIN: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct List {
    /// Only those of one fleet
    #[arg(long)]
    fleet: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = ["active", "unreachable", "down", "removed"])]
    state: Option<String>,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Subcommand)]
pub enum Nodes {
    /// Nodes with state, version and rate; the same as `nodes` alone
    List(List),
    /// Everything about one node
    Show { node: String },
    /// Take a node out of traffic; it finishes what it has, and keeps its seat
    ///
    /// Its health path answers 503 and its agent check `drain`, so balancers send new requests elsewhere. What comes all the
    /// same is served. It lasts until `undrain`, also over restarts of node and managers.
    Drain { node: String },
    /// Let a drained node take traffic again
    Undrain { node: String },
    /// Start a node's gateway anew without losing a request; returns when it serves
    Restart { node: String },
    /// Free a node's seat for good; one that still runs comes back when there is a seat
    Remove { node: String },
    /// The newest log lines of a node and its gateway
    Log {
        node: String,
        /// The newest so many, at most 2,000
        #[arg(short = 'n', long, default_value_t = 200)]
        lines: u32,
    },
}

impl Nodes {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { node } => {
                let node = find(client, &node).await?;
                output.print(&node, shown)
            }
            Self::Drain { node } => {
                let node = post(client, &node, "drain").await?;
                println!("{} takes no new traffic, and keeps its seat", node.name);
                Ok(())
            }
            Self::Undrain { node } => {
                let node = post(client, &node, "undrain").await?;
                println!("{} takes traffic again", node.name);
                Ok(())
            }
            Self::Restart { node } => {
                let node = find(client, &node).await?;
                let ask = Ask {
                    within: RESTART_WITHIN,
                    ..Ask::post(path(&node, "/restart"), &serde_json::json!({}))
                };
                let done: api::NodeRestart = serde_json::from_slice(&client.ask(ask).await?)?;
                output.print(&done, |done| {
                    let name = &node.name;
                    format!(
                        "the gateway of {name} was started anew within {} ms",
                        done.took_ms
                    )
                })
            }
            Self::Remove { node } => {
                let node = find(client, &node).await?;
                delete(client, &path(&node, "")).await?;
                println!("{} is removed; its seat is free", node.name);
                Ok(())
            }
            Self::Log { node, lines } => {
                let node = find(client, &node).await?;
                let log: api::NodeLog = client
                    .get(&path(&node, &format!("/log?lines={lines}")))
                    .await?;
                output.print(&log, |log| log_lines(&log.lines))
            }
        }
    }
}

impl List {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        let (fleet, state) = (self.fleet, self.state);
        self.watch
            .show(output, || async {
                let mut nodes = all(client).await?;
                nodes.retain(|node| {
                    let fleet = fleet.as_ref().is_none_or(|fleet| *fleet == node.fleet);
                    fleet
                        && state
                            .as_ref()
                            .is_none_or(|state| *state == word(node.state))
                });
                let list = api::NodeList {
                    nodes,
                    next_cursor: None,
                };
                output.text(&list, table)
            })
            .await
    }
}

impl Default for List {
    fn default() -> Self {
        Self {
            fleet: None,
            state: None,
            watch: Watch { watch: None },
        }
    }
}

/// All nodes, page by page.
pub async fn all(client: &ApiClient) -> anyhow::Result<Vec<api::Node>> {
    pages(client, "").await
}

/// The same from a manager that has no leader, as it is there.
pub async fn all_stale(client: &ApiClient) -> anyhow::Result<Vec<api::Node>> {
    pages(client, "&consistency=stale").await
}

async fn pages(client: &ApiClient, read: &str) -> anyhow::Result<Vec<api::Node>> {
    let mut nodes = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: api::NodeList = client
            .get(&format!("/v1/nodes?limit={PAGE}{read}{cursor}"))
            .await?;
        nodes.extend(page.nodes);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", encode(&next)),
            None => return Ok(nodes),
        }
    }
}

/// By name, by id, or by the beginning of an id.
pub async fn find(client: &ApiClient, wanted: &str) -> anyhow::Result<api::Node> {
    pick(all(client).await?, wanted)
}

fn pick(mut nodes: Vec<api::Node>, wanted: &str) -> anyhow::Result<api::Node> {
    let bare = wanted.strip_prefix("krakend_").unwrap_or(wanted);
    let is = |node: &api::Node| node.id == bare || node.name == wanted;
    let begins = |node: &api::Node| bare.len() >= 4 && node.id.starts_with(bare);
    let mut found: Vec<_> = (0..nodes.len()).filter(|at| is(&nodes[*at])).collect();
    if found.is_empty() {
        found = (0..nodes.len()).filter(|at| begins(&nodes[*at])).collect();
    }
    // A machine that was set up anew has a new id under its old name.
    if found.len() > 1 {
        let lives = |at: &usize| nodes[*at].state != api::NodeState::Removed;
        let living: Vec<_> = found.iter().copied().filter(lives).collect();
        if !living.is_empty() {
            found = living;
        }
    }
    match found.as_slice() {
        [one] => Ok(nodes.swap_remove(*one)),
        [] => {
            let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
            bail!("there is no node {wanted}{}", hint(wanted, names))
        }
        several => {
            let ids = several
                .iter()
                .map(|at| format!("\n  krakend_{}", nodes[*at].id));
            bail!(
                "several nodes are {wanted}; name one by its id:{}",
                ids.collect::<String>()
            )
        }
    }
}

async fn post(client: &ApiClient, node: &str, what: &str) -> anyhow::Result<api::Node> {
    let node = find(client, node).await?;
    let ask = Ask::post(path(&node, &format!("/{what}")), &serde_json::json!({}));
    client.ask(ask).await?;
    Ok(node)
}

fn path(node: &api::Node, rest: &str) -> String {
    format!("/v1/nodes/{}{rest}", node.id)
}

/// Changes what a node logs, until its next start.
pub async fn set_log_level(
    client: &ApiClient,
    node: &str,
    level: Option<String>,
) -> anyhow::Result<(String, api::LogLevel)> {
    let node = find(client, node).await?;
    let ask = Ask {
        method: Method::PUT,
        ..Ask::post(
            path(&node, "/log-level"),
            &serde_json::json!({ "level": level }),
        )
    };
    let set = serde_json::from_slice(&client.ask(ask).await?)?;
    Ok((node.name, set))
}

pub fn log_lines(lines: &[api::NodeLogLine]) -> String {
    let lines = lines.iter().map(|line| {
        format!(
            "{} {:<5} {} {}",
            line.time, line.level, line.source, line.message
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What is to be known of a node's state, in few words.
fn state(node: &api::Node) -> Cell {
    let mut words = vec![word(node.state)];
    let living = matches!(
        node.state,
        api::NodeState::Active | api::NodeState::Unreachable
    );
    let notes = [
        (node.draining_since.is_some() && living, "draining"),
        (node.ready == Some(false), "not ready"),
        (node.refusal.is_some() && living, "refuses"),
        (node.drift.is_some(), "drift"),
        (node.gossip_blocked_since.is_some(), "gossip blocked"),
        (node.free_version_since.is_some(), "free version"),
        (node.duplicate_since.is_some(), "duplicate id"),
    ];
    words.extend(notes.iter().filter(|it| it.0).map(|it| it.1.to_owned()));
    let paint = match node.state {
        api::NodeState::Active if words.len() == 1 => Some(Paint::Good),
        api::NodeState::Active | api::NodeState::Unreachable => Some(Paint::Warning),
        api::NodeState::Down => Some(Paint::Bad),
        api::NodeState::Removed => None,
    };
    Cell::painted(words.join(", "), paint)
}

fn table(list: &api::NodeList) -> String {
    let mut table = Table::new(&[
        "name", "state", "fleet", "version", "desired", "req/s", "p99 ms", "gateway", "address",
        "id",
    ]);
    for node in &list.nodes {
        table.add_row::<Cell>([
            node.name.as_str().into(),
            state(node),
            node.fleet.as_str().into(),
            or_dash(node.applied_version).into(),
            or_dash(node.desired_version).into(),
            one_decimal(node.requests_per_s).into(),
            one_decimal(node.latency_p99_ms).into(),
            word(node.gateway).into(),
            node.gateway_address.as_str().into(),
            format!("krakend_{}", node.id).into(),
        ]);
    }
    if list.nodes.is_empty() {
        return "no nodes; `token create-join` makes the token that one joins with".into();
    }
    table.to_string()
}

fn shown(node: &api::Node) -> String {
    let mut lines = vec![
        format!("Node        {} (krakend_{})", node.name, node.id),
        format!(
            "State       {} since {}",
            word(node.state),
            node.state_since
        ),
        format!("Fleet       {}", node.fleet),
        format!(
            "Gateway     {} {} at {}",
            word(node.gateway),
            node.gateway_version,
            node.gateway_address
        ),
        format!(
            "Program     krakend-node {}, joined {}",
            node.version, node.joined_at
        ),
        format!(
            "Serves      {} of {} desired",
            node.applied_version
                .map_or("no version".into(), |it| format!("v{it}")),
            node.desired_version
                .map_or("none".into(), |it| format!("v{it}")),
        ),
        format!(
            "Seat        {}, lease until {}",
            if node.holds_seat { "held" } else { "none" },
            or_dash(node.lease_expires_at.clone())
        ),
        format!(
            "Traffic     {} requests/s, {} errors/s, p99 {} ms, {} connections",
            one_decimal(node.requests_per_s),
            one_decimal(node.errors_per_s),
            one_decimal(node.latency_p99_ms),
            or_dash(node.connections)
        ),
    ];
    let mut add = |name: &str, text: Option<String>| {
        lines.extend(text.map(|text| format!("{name:<12}{text}")));
    };
    let ready = node
        .ready
        .map(|ready| if ready { "yes" } else { "no" }.to_owned());
    add("Ready", ready);
    let draining = node.draining_since.as_ref();
    add(
        "Draining",
        draining.map(|since| format!("since {since}: no new traffic")),
    );
    add("Down at", node.down_at.clone());
    add("Refusal", node.refusal.clone());
    add(
        "Gossip",
        node.gossip_blocked_since
            .as_ref()
            .map(|it| format!("blocked since {it}")),
    );
    let free = node.free_version_since.as_ref();
    add(
        "Free",
        free.map(|it| format!("version since {it}: its lease has ended")),
    );
    let twin = node.duplicate_since.as_ref();
    add(
        "Duplicate",
        twin.map(|it| format!("another machine showed up under this id at {it}")),
    );
    let session = node.session_manager.as_ref();
    add(
        "Session",
        session.map(|it| format!("with {it}, heard {}", or_dash(node.heard_at.clone()))),
    );
    let drift = node.drift.as_ref();
    add(
        "Drift",
        drift.map(|it| format!("{} ({}), found {}", it.reason, it.file, it.found_at)),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, name: &str, state: &str) -> api::Node {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": name, "fleet": "default", "state": state, "state_since": "t",
            "down_at": null, "gateway_address": "a", "gossip_address": "g", "gateway": "embedded",
            "gateway_version": "1", "version": "1", "joined_at": "t", "desired_version": null,
            "applied_version": null, "applied_digest": null, "applied_generation": null,
            "applied_at": null, "refusal": null, "ready": true, "holds_seat": true,
            "lease_expires_at": null, "requests_per_s": null, "errors_per_s": null,
            "latency_p99_ms": null, "recent_requests_per_s": [], "memory_bytes": null,
            "cpu_percent": null
        }))
        .expect("a node")
    }

    fn picked(wanted: &str) -> Result<String, String> {
        let nodes = vec![
            node("3f20a44d-3d93-4bc9-829b-b76b22055142", "edge-1", "active"),
            node("aaaaaaaa-3d93-4bc9-829b-b76b22055142", "edge-2", "active"),
            node("bbbbbbbb-3d93-4bc9-829b-b76b22055142", "edge-2", "removed"),
            node("cccccccc-3d93-4bc9-829b-b76b22055142", "twin", "active"),
            node("dddddddd-3d93-4bc9-829b-b76b22055142", "twin", "down"),
        ];
        let found = pick(nodes, wanted).map_err(|error| error.to_string())?;
        Ok(found.id[..8].to_owned())
    }

    #[test]
    fn a_node_is_found_by_name_by_id_and_by_the_beginning_of_its_id() {
        assert_eq!(picked("edge-1").as_deref(), Ok("3f20a44d"));
        let id = "krakend_3f20a44d-3d93-4bc9-829b-b76b22055142";
        assert_eq!(picked(id).as_deref(), Ok("3f20a44d"));
        assert_eq!(picked("3f20").as_deref(), Ok("3f20a44d"));
        assert_eq!(
            picked("edge-2").as_deref(),
            Ok("aaaaaaaa"),
            "the living one"
        );
    }

    #[test]
    fn a_typing_error_is_answered_with_the_name_and_twins_with_their_ids() {
        let error = picked("egde-1").expect_err("no such node");
        assert_eq!(error, "there is no node egde-1; did you mean edge-1?");
        let error = picked("twin").expect_err("two of them");
        assert!(error.contains("krakend_cccccccc") && error.contains("krakend_dddddddd"));
    }
}
