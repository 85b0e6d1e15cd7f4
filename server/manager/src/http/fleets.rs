//! Fleets: named sets of nodes that share one configuration.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Applied, ClusterState, Command, Fleet, NodeState, Topic};

use super::{
    access::{Operator, Viewer},
    configuration::fleet_name,
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::app::App;

pub async fn list(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Fleets, Topic::Nodes]).await?;
    let fleets = view.state.fleets().map(|fleet| shown(&view.state, fleet));
    let body = api::FleetList {
        fleets: fleets.collect(),
    };
    Ok(answer(&view, body))
}

fn shown(state: &ClusterState, fleet: &Fleet) -> api::Fleet {
    let newest = state.newest_version(&fleet.name);
    let nodes = state
        .nodes_of(&fleet.name)
        .filter(|node| node.state != NodeState::Removed);
    api::Fleet {
        name: fleet.name.to_string(),
        nodes: nodes.count() as u32,
        version: newest.map(|version| version.number),
        digest: newest.map(|version| version.digest.to_string()),
        generation: fleet.generation,
    }
}

/// 201 where the fleet is new, 200 where it was there.
pub async fn create(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(fleet): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let name = fleet_name(&fleet)?;
    let command = Command::CreateFleet {
        name,
        by: caller.name.clone(),
    };
    let request: [&[u8]; 2] = [b"PUT fleet", fleet.as_bytes()];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let status = match written.applied {
        Applied::Unchanged => StatusCode::OK,
        _ => StatusCode::CREATED,
    };
    Ok(written.label(status.into_response()))
}
