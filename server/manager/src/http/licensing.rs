use axum::{
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use krakend_domain::{Command, LicenseRecord};
use serde::Deserialize;

use super::{
    access::{Admin, Viewer},
    present,
    problem::Failure,
    read::{ReadQuery, answer, view},
    write,
};
use crate::{app::App, clock};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Install {
    token: String,
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<ReadQuery>,
) -> Result<Response, Failure> {
    let view = view(&app, query.consistency).await?;
    let body = present::license(&view.state, clock::now_ms());
    Ok(answer(&view, body))
}

/// Verified here, before it is proposed: no replica decides by a key that only it has.
pub async fn install(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let install: Install = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"token\": JWS}}: {error}"),
        )
    })?;
    let claims = app
        .license_key
        .verify(&install.token, clock::now_ms())
        .map_err(|error| {
            Failure::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "license-refused",
                error.to_string(),
            )
        })?;
    let command = Command::InstallLicense(LicenseRecord {
        claims,
        token: install.token.trim().into(),
        installed_by: caller.name,
        installed_ms: 0,
    });
    write::propose(&app, &headers, &[b"PUT license", &body], command).await?;
    let view = app.group.stale();
    let body = present::license(&view.state, clock::now_ms());
    Ok(answer(&view, body))
}

pub async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let command = Command::RemoveLicense { by: caller.name };
    write::propose(&app, &headers, &[b"DELETE license"], command).await?;
    Ok(StatusCode::NO_CONTENT)
}
