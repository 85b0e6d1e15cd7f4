//! Which commands and formats the group may use, and the operator's consent to newer ones.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Command, FEATURE_LEVEL, Topic};
use serde::Deserialize;

use super::{
    access::{Admin, Viewer},
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::app::App;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raise {
    level: u32,
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Managers]).await?;
    let supported = app.group.supported_levels();
    let members = app.group.status().members;
    let mut managers: Vec<_> = members
        .iter()
        .map(|member| api::ManagerFeatureLevel {
            id: member.id.to_string(),
            name: member.node.name.clone(),
            supported: supported.get(&member.id).copied(),
        })
        .collect();
    managers.sort_by(|a, b| a.name.cmp(&b.name));
    let body = api::FeatureLevel {
        level: view.state.meta().feature_level,
        supported: FEATURE_LEVEL,
        managers,
    };
    Ok(answer(&view, body))
}

/// The leader refuses it while a voter does not support it, or has not answered.
pub async fn raise(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked: Raise = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"level\": NUMBER}}: {error}"),
        )
    })?;
    let command = Command::RaiseFeatureLevel {
        level: asked.level,
        by: caller.name.clone(),
    };
    let request: [&[u8]; 2] = [b"POST feature level", &body];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    let body = serde_json::json!({ "level": asked.level });
    Ok(written.label((StatusCode::OK, Json(body)).into_response()))
}
