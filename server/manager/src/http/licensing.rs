use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_domain::{Applied, Command, LicenseRecord, Topic};
use serde::Deserialize;

use super::{
    access::{Admin, Viewer},
    present,
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::{
    app::App,
    clock,
    license::{self, Groups, License, LicenseError},
    licensing,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Install {
    token: String,
}

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::License, Topic::Nodes, Topic::Clock]).await?;
    let body = present::license(&view.state, clock::decide_ms(&view.state));
    Ok(answer(&view, body))
}

/// Verified here, before it is proposed: no replica decides by a key that only it has.
pub async fn install(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let install = parse(&body)?;
    let request: [&[u8]; 2] = [b"PUT license", &body];
    let license = match verify(&app, &install.token) {
        Ok(license) => license,
        Err(error) => {
            // A retry of what was installed is answered even when the licence has run out meanwhile.
            let first = write::first(&app, &caller, &headers, &request).await;
            return installed(&first.ok_or_else(|| refused(&error))??);
        }
    };
    let command = Command::InstallLicense(LicenseRecord {
        claims: license.claims,
        token: install.token.trim().into(),
        installed_by: caller.name.clone(),
        installed_ms: 0,
    });
    installed(&write::propose(&app, &caller, &headers, &request, command).await?)
}

/// What `install` would say, without installing.
pub async fn check(
    State(app): State<App>,
    Viewer(_): Viewer,
    body: Bytes,
) -> Result<Response, Failure> {
    let asked = parse(&body)?;
    let license = verify(&app, &asked.token).map_err(|error| refused(&error))?;
    let state = app.group.stale().state;
    let now_ms = clock::decide_ms(&state);
    let used = state.seats_used(now_ms);
    let shown = present::license_of(Some(&license.claims), used, state.decision_time(now_ms));
    let body = krakend_api::License {
        group: license.group,
        ..shown
    };
    Ok(Json(body).into_response())
}

fn parse(body: &[u8]) -> Result<Install, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"token\": JWS}}: {error}"),
        )
    })
}

fn refused(error: &LicenseError) -> Failure {
    Failure::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        error.kind(),
        error.to_string(),
    )
}

/// By this manager's keys, the group's id and the group's time.
fn verify(app: &App, token: &str) -> Result<License, LicenseError> {
    let state = app.group.stale().state;
    let now_ms = state.decision_time(clock::decide_ms(&state));
    license::verify(&licensing::keys(app), token, now_ms, &Groups::of(&state))
}

/// As it was when it was installed, so that a retry gets the same answer.
fn installed(written: &write::Written) -> Result<Response, Failure> {
    let Applied::LicenseInstalled {
        claims,
        at_ms,
        seats_used,
    } = &written.applied
    else {
        return Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            "an installation was answered with something else",
        ));
    };
    let body = present::license_of(Some(claims), *seats_used, *at_ms);
    Ok(written.label(Json(body).into_response()))
}

pub async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let command = Command::RemoveLicense {
        by: caller.name.clone(),
    };
    let written = write::propose(&app, &caller, &headers, &[b"DELETE license"], command).await?;
    Ok(written.no_content())
}
