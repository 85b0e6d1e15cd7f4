use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use krakend_api as api;
use krakend_domain::{ClusterState, Command, NodeId, Topic};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    access::{Operator, Viewer},
    configuration::fleet_name,
    present,
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::app::App;

const MAX_PAGE: usize = 1_000;

/// Query of the node list.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    /// Id after which the page begins.
    cursor: Option<String>,
    limit: Option<usize>,
    state: Option<api::NodeState>,
    fleet: Option<String>,
    /// Part of the name, the id or the gateway's address, whatever the case.
    q: Option<String>,
}

pub async fn list(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<ListQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Nodes]).await?;
    let after = query.cursor.as_deref().map(parse_id).transpose()?;
    let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let fleet = query.fleet.as_deref().map(fleet_name).transpose()?;
    let text = query.q.as_ref().map(|text| text.to_lowercase());
    let wanted = |node: &&krakend_domain::NodeRecord| {
        after.is_none_or(|after| node.id > after)
            && query
                .state
                .is_none_or(|state| present::node_state(node.state) == state)
            && fleet.as_ref().is_none_or(|fleet| node.fleet == *fleet)
            && text.as_ref().is_none_or(|text| has(node, text))
    };
    let mut nodes: Vec<_> = view
        .state
        .nodes()
        .filter(wanted)
        .take(limit + 1)
        .map(|node| present::node(&app, &view.state, node))
        .collect();
    let more = nodes.len() > limit;
    nodes.truncate(limit);
    let next_cursor = nodes.last().filter(|_| more).map(|node| node.id.clone());
    let body = api::NodeList { nodes, next_cursor };
    Ok(answer(&view, body))
}

fn has(node: &krakend_domain::NodeRecord, text: &str) -> bool {
    let texts = [
        node.name.to_lowercase(),
        node.id.krakend(),
        node.gateway_address.to_lowercase(),
    ];
    texts.iter().any(|it| it.contains(text))
}

/// The first page, for the dashboard's live messages.
pub fn all(app: &App, state: &ClusterState) -> api::NodeList {
    let mut records = state.nodes();
    let nodes: Vec<_> = records
        .by_ref()
        .take(MAX_PAGE)
        .map(|node| present::node(app, state, node))
        .collect();
    let more = records.next().is_some();
    let next_cursor = nodes.last().filter(|_| more).map(|node| node.id.clone());
    api::NodeList { nodes, next_cursor }
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    Path(id): Path<String>,
    read: Read,
) -> Result<Response, Failure> {
    let id = parse_id(&id)?;
    let view = view(&app, &read, &[Topic::Nodes]).await?;
    let node = view.state.node(id);
    let node = node.ok_or_else(|| Failure::not_found(format!("there is no node {id}")))?;
    let body = present::node(&app, &view.state, node);
    Ok(answer(&view, body))
}

/// Frees the node's seat. One that still runs joins again by itself when a seat is free.
pub async fn remove(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let node_id = parse_id(&id)?;
    let command = Command::LeaveNode {
        node_id,
        hold_seat: false,
    };
    let request: [&[u8]; 2] = [b"DELETE node", id.as_bytes()];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    Ok(written.no_content())
}

pub(super) fn parse_id(text: &str) -> Result<NodeId, Failure> {
    let bare = text.strip_prefix("krakend_").unwrap_or(text);
    Uuid::parse_str(bare).map(NodeId).map_err(|_| {
        Failure::bad_request(
            "bad-id",
            format!("{text:?} is no node id: a UUID is expected"),
        )
    })
}
