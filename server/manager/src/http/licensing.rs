use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_domain::{Applied, Claims, Command, LicenseRecord, Topic};
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
    license::{LicenseError, LicenseKey},
    trust::Held,
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
    let install: Install = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(
            "malformed",
            format!("the body must be {{\"token\": JWS}}: {error}"),
        )
    })?;
    let request: [&[u8]; 2] = [b"PUT license", &body];
    let now_ms = clock::decide_ms(&app.group.stale().state);
    let claims = match verify(&app, &install.token, now_ms) {
        Ok(claims) => claims,
        Err(error) => {
            // A retry of what was installed is answered even when the licence has run out meanwhile.
            let first = write::first(&app, &caller, &headers, &request).await;
            let refused = || {
                Failure::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "license-refused",
                    error.to_string(),
                )
            };
            return installed(&first.ok_or_else(refused)??);
        }
    };
    let command = Command::InstallLicense(LicenseRecord {
        claims,
        token: install.token.trim().into(),
        installed_by: caller.name.clone(),
        installed_ms: 0,
    });
    installed(&write::propose(&app, &caller, &headers, &request, command).await?)
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

/// With the configured key; without one with what derives from any secret that is held, so that a licence that was
/// issued before a rotation can be installed after it.
fn verify(app: &App, token: &str, now_ms: u64) -> Result<Claims, LicenseError> {
    if let Some(key) = &app.license_key {
        return key.verify(token, now_ms);
    }
    let ring = app.trust.ring();
    let verify = |held: &Held| LicenseKey::of_group(&held.secret).verify(token, now_ms);
    let in_use = verify(ring.in_use());
    match in_use {
        Err(LicenseError::Signature) => ring
            .all()
            .find_map(|held| verify(held).ok())
            .ok_or(LicenseError::Signature),
        in_use => in_use,
    }
}
