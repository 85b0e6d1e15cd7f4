//! What the managers say of a fleet's nodes by DNS. Pure.
//!
//! `FLEET.nodes.krakend` has the addresses of the nodes that take traffic, `_gateway._tcp.FLEET.nodes.krakend` their ports
//! as well, `ID.FLEET.nodes.krakend` one node's address.

use std::net::SocketAddr;

use krakend_domain::{ClusterState, FleetName, NodeRecord, NodeState};

use super::message::{A, AAAA, ANY, Answer, Code, Question, Record, SRV};

const ZONE: [&str; 2] = ["nodes", "krakend"];
const SERVICE: [&str; 2] = ["_gateway", "_tcp"];
/// A node that comes or goes is to be noticed soon.
const TTL_S: u32 = 1;

/// The answer to a question; `turn` says which node is named first.
pub fn answer(state: &ClusterState, question: &Question, turn: usize) -> Answer {
    let labels: Vec<_> = question.labels.iter().map(String::as_str).collect();
    let Some(below) = labels.strip_suffix(&ZONE) else {
        return only(Code::Refused);
    };
    let (fleet, asked) = match below {
        [] => return only(Code::NoError),
        [service, protocol, fleet] if [*service, *protocol] == SERVICE => (fleet, Asked::Services),
        [id, fleet] => (fleet, Asked::Node(id)),
        [fleet] => (fleet, Asked::Addresses),
        _ => return only(Code::NoSuchName),
    };
    let known = fleet.parse::<FleetName>().ok();
    let Some(fleet) = known.filter(|name| state.fleet(name).is_some()) else {
        return only(Code::NoSuchName);
    };
    let nodes = serving(state, &fleet);
    if let Asked::Node(id) = asked
        && !nodes.iter().any(|(node, _)| label(node) == id)
    {
        return only(Code::NoSuchName);
    }
    let records = nodes.iter().filter_map(|(node, address)| match asked {
        Asked::Services => wants(question, SRV).then(|| Record::Service {
            port: address.port(),
            target: target(node, &fleet),
            address: address.ip(),
        }),
        Asked::Node(id) if label(node) != id => None,
        Asked::Node(_) | Asked::Addresses => {
            let kind = if address.is_ipv4() { A } else { AAAA };
            wants(question, kind).then(|| Record::Address(address.ip()))
        }
    });
    let mut records: Vec<_> = records.collect();
    // Who takes the first of them should not always meet the same node.
    if !records.is_empty() {
        let first = turn % records.len();
        records.rotate_left(first);
    }
    Answer {
        code: Code::NoError,
        records,
        ttl_s: TTL_S,
    }
}

enum Asked<'a> {
    Services,
    Addresses,
    Node(&'a str),
}

fn only(code: Code) -> Answer {
    Answer {
        code,
        records: Vec::new(),
        ttl_s: TTL_S,
    }
}

fn wants(question: &Question, kind: u16) -> bool {
    question.kind == kind || question.kind == ANY
}

/// Nodes that take traffic. One that is unreachable for the managers may well serve: who sends it traffic checks it.
fn serving<'a>(state: &'a ClusterState, fleet: &FleetName) -> Vec<(&'a NodeRecord, SocketAddr)> {
    let nodes = state.nodes_of(fleet).filter(|node| {
        let runs = matches!(node.state, NodeState::Active | NodeState::Unreachable);
        runs && state.draining(node.id).is_none()
    });
    let found = nodes.filter_map(|node| Some((node, node.gateway_address.parse().ok()?)));
    found.collect()
}

fn label(node: &NodeRecord) -> String {
    node.id.0.simple().to_string()
}

fn target(node: &NodeRecord, fleet: &FleetName) -> Vec<String> {
    let mut labels = vec![label(node), fleet.to_string()];
    labels.extend(ZONE.map(str::to_owned));
    labels
}
