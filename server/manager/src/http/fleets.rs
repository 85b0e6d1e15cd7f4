//! Fleets: named sets of nodes that share one configuration.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use krakend_api as api;
use krakend_domain::{Applied, ClusterState, Command, Fleet, NodeState};

use super::{
    access::{Operator, Viewer},
    configuration::fleet_name,
    problem::Failure,
    read::{ReadQuery, answer, view},
    write,
};
use crate::app::App;

pub async fn list(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<ReadQuery>,
) -> Result<Response, Failure> {
    let view = view(&app, query.consistency).await?;
    let fleets = view.state.fleets().map(|fleet| shown(&view.state, fleet));
    let body = api::FleetList {
        fleets: fleets.collect(),
    };
    Ok(answer(&view, body))
}

fn shown(state: &ClusterState, fleet: &Fleet) -> api::Fleet {
    let newest = state.newest_version(&fleet.name);
    let nodes = state
        .nodes()
        .filter(|node| node.fleet == fleet.name && node.state != NodeState::Removed);
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
) -> Result<StatusCode, Failure> {
    let name = fleet_name(&fleet)?;
    let command = Command::CreateFleet {
        name,
        by: caller.name,
    };
    let request: [&[u8]; 2] = [b"PUT fleet", fleet.as_bytes()];
    let written = write::propose(&app, &headers, &request, command).await?;
    Ok(match written.applied {
        Applied::Unchanged => StatusCode::OK,
        _ => StatusCode::CREATED,
    })
}
