//! Service discovery for Prometheus (`http_sd_configs`): managers and nodes as they come and go.

use std::net::SocketAddr;

use axum::{
    extract::{Query, State},
    response::Response,
};
use krakend_domain::{ClusterState, NodeRecord, NodeState, Topic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{
    access::Viewer,
    problem::Failure,
    read::{Read, answer, view},
};
use crate::app::App;

/// Query of the discovery.
#[derive(Debug, Deserialize)]
pub struct DiscoveryQuery {
    /// `manager` or `node`; both without it.
    role: Option<String>,
    fleet: Option<String>,
}

/// One target with its labels, as Prometheus reads it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Target {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// A token of the role viewer is enough. Managers and nodes are asked for apart, because only managers want a token.
pub async fn prometheus(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<DiscoveryQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let (managers, nodes) = match query.role.as_deref() {
        None => (true, true),
        Some("manager") => (true, false),
        Some("node") => (false, true),
        Some(other) => {
            return Err(Failure::bad_request(
                "bad-role",
                format!("`role` is {other:?}: take manager or node"),
            ));
        }
    };
    let view = view(&app, &read, &[Topic::Nodes, Topic::Managers]).await?;
    let mut targets = Vec::new();
    if managers {
        targets.extend(managers_of(&view.state));
    }
    if nodes {
        targets.extend(nodes_of(&view.state, query.fleet.as_deref()));
    }
    Ok(answer(&view, targets))
}

fn managers_of(state: &ClusterState) -> impl Iterator<Item = Target> {
    state.managers().map(|manager| Target {
        targets: [manager.http_address.clone()],
        labels: BTreeMap::from([
            ("role", "manager".into()),
            ("manager", manager.name.clone()),
            ("id", manager.id.to_string()),
        ]),
    })
}

fn nodes_of(state: &ClusterState, fleet: Option<&str>) -> impl Iterator<Item = Target> {
    let nodes = state.nodes();
    let nodes = nodes.filter(|node| node.state != NodeState::Removed);
    let nodes = nodes.filter(move |node| fleet.is_none_or(|fleet| fleet == node.fleet.as_str()));
    nodes.filter_map(|node| {
        let address = state.metrics_address(node.id)?;
        can_be_scraped(address, node).then(|| Target {
            targets: [address.to_owned()],
            labels: BTreeMap::from([
                ("role", "node".into()),
                ("fleet", node.fleet.to_string()),
                ("node", node.name.clone()),
                ("id", node.id.krakend().to_string()),
            ]),
        })
    })
}

/// A loopback port is another machine's, unless the node as a whole lives on loopback.
fn can_be_scraped(address: &str, node: &NodeRecord) -> bool {
    let loopback = |text: &str| {
        let parsed: Result<SocketAddr, _> = text.parse();
        parsed.is_ok_and(|address| address.ip().is_loopback())
    };
    !loopback(address) || loopback(&node.gossip_address)
}
