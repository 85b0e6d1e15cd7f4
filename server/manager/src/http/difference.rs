//! Versions against each other and against a document, an old version published again, and a version's document.

use axum::{
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{ClusterState, Digest, FleetName, Publication, Role, Topic, VersionRecord};
use serde::Deserialize;
use serde_json::Value;

use super::{
    access::{Operator, Viewer},
    configuration::{self, MAX_TEXT, existing, fleet_name, judged, set_etag, within_limit},
    deadline::deadline,
    document::{document, raw},
    problem::Failure,
    read::{Read, answer, linearizable, view},
    tokens::parse,
    write,
};
use crate::{app::App, diff};

/// Which versions; 0 is the empty document before the first.
#[derive(Debug, Deserialize)]
pub struct DiffQuery {
    from: Option<u64>,
    to: Option<u64>,
}

pub async fn between(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path(fleet): Path<String>,
    Query(query): Query<DiffQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let view = view(&app, &read, &[Topic::Versions]).await?;
    let newest = newest(&view.state, &fleet)?;
    let to = query.to.unwrap_or(newest);
    let from = query.from.unwrap_or(to.saturating_sub(1));
    let old = document_of(&view.state, &fleet, from)?;
    let new = document_of(&view.state, &fleet, to)?;
    let hidden = caller.role == Role::Viewer;
    let names = (format!("v{from}"), format!("v{to}"));
    let diff = compare(&fleet, (from, old), (to, new), (&names.0, &names.1), hidden).await?;
    Ok(answer(&view, diff))
}

/// What publishing this document would change. Nothing is published.
pub async fn against(
    State(app): State<App>,
    Operator(_): Operator,
    Path(fleet): Path<String>,
    Query(query): Query<DiffQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    if query.to.is_some() {
        return Err(Failure::bad_request(
            "bad-query",
            "`to` is the document in the body here: leave it out",
        ));
    }
    within_limit(&app, &body)?;
    judged(&app, &fleet, &headers, &body).await?;
    let new: Value = serde_json::from_slice(&body)
        .map_err(|error| Failure::bad_request("malformed", error.to_string()))?;
    let view = linearizable(&app, deadline(&headers)?).await?;
    let from = match query.from {
        Some(from) => from,
        None => newest(&view.state, &fleet)?,
    };
    let old = document_of(&view.state, &fleet, from)?;
    let name = format!("v{from}");
    let names = (name.as_str(), "the document");
    let diff = compare(&fleet, (from, old), (0, new), names, false).await?;
    Ok(answer(&view, diff))
}

/// Comparing is work: it gets a thread on which nobody waits.
async fn compare(
    fleet: &FleetName,
    (from, mut old): (u64, Value),
    (to, mut new): (u64, Value),
    names: (&str, &str),
    hidden: bool,
) -> Result<api::ConfigurationDiff, Failure> {
    let fleet = fleet.to_string();
    let names = (names.0.to_owned(), names.1.to_owned());
    let compared = tokio::task::spawn_blocking(move || {
        if hidden {
            let mut hider = diff::Hider::default();
            hider.hide(&mut old);
            hider.hide(&mut new);
        }
        let difference = diff::structural(&old, &new);
        api::ConfigurationDiff {
            fleet,
            from,
            to,
            endpoints_added: difference.endpoints_added,
            endpoints_changed: difference.endpoints_changed,
            endpoints_removed: difference.endpoints_removed,
            changes: difference.changes,
            unified: diff::unified(&old, &new, (&names.0, &names.1), None),
        }
    });
    compared.await.map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            format!("the documents could not be compared: {error}"),
        )
    })
}

fn newest(state: &ClusterState, fleet: &FleetName) -> Result<u64, Failure> {
    existing(state, fleet)?;
    Ok(state.fleet(fleet).map_or(0, |fleet| fleet.newest))
}

fn document_of(state: &ClusterState, fleet: &FleetName, number: u64) -> Result<Value, Failure> {
    match number {
        0 => Ok(Value::Object(serde_json::Map::new())),
        number => document(version(state, fleet, number)?),
    }
}

fn version<'a>(
    state: &'a ClusterState,
    fleet: &FleetName,
    number: u64,
) -> Result<&'a VersionRecord, Failure> {
    existing(state, fleet)?;
    let version = state.version(fleet, number).map(AsRef::as_ref);
    version.ok_or_else(|| Failure::not_found(format!("fleet {fleet} has no version {number}")))
}

/// Publishes an old version's content as the next version.
pub async fn rollback(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(fleet): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let asked: api::RollbackRequest = parse(&body, "{\"to\": number, \"message\"?, \"parent\"?}")?;
    if asked.message.chars().count() > MAX_TEXT {
        return Err(Failure::bad_request(
            "message-too-long",
            format!("the message is longer than {MAX_TEXT} characters"),
        ));
    }
    let request: [&[u8]; 3] = [b"POST rollback", fleet.as_str().as_bytes(), &body];
    let prepared = prepare_rollback(&app, &fleet, &headers, &caller.name, &asked).await;
    let (publication, warnings) = match prepared {
        Ok(prepared) => prepared,
        // It may have been done by the first attempt of this request, and be impossible since.
        Err(failure) => match Box::pin(write::first(&app, &caller, &headers, &request)).await {
            Some(first) => return configuration::published(&fleet, &first?, Vec::new()),
            None => return Err(failure),
        },
    };
    let caller = caller.doing("rollback");
    let asked = (&caller, &headers, &request[..]);
    configuration::submit(&app, asked, publication, warnings).await
}

async fn prepare_rollback(
    app: &App,
    fleet: &FleetName,
    headers: &HeaderMap,
    author: &str,
    asked: &api::RollbackRequest,
) -> Result<(Publication, Vec<api::Finding>), Failure> {
    let state = linearizable(app, deadline(headers)?).await?.state;
    let old = version(&state, fleet, asked.to)?;
    let newest = state.newest_version(fleet).map(AsRef::as_ref);
    let parent = match &asked.parent {
        None => newest.map(|it| it.digest),
        Some(text) => Some(text.parse().map_err(|error: krakend_domain::DigestError| {
            Failure::bad_request("bad-parent", format!("parent {text:?}: {error}"))
        })?),
    };
    if newest.is_some_and(|it| it.number == old.number) {
        return Err(Failure::new(
            StatusCode::CONFLICT,
            "already-newest",
            format!(
                "version {} is the newest of fleet {fleet}: there is nothing to roll back",
                old.number
            ),
        ));
    }
    let text = raw(old)?;
    // What was good once may not be any more: the fleet's gateways are others, or the checks stricter.
    let (report, digest) = judged(app, fleet, headers, &text).await?;
    let publication = Publication {
        fleet: fleet.clone(),
        parent,
        digest,
        body: old.body.clone(),
        size_bytes: old.size_bytes,
        author: author.into(),
        message: match asked.message.as_str() {
            "" => format!("Roll back to v{}", asked.to),
            message => message.into(),
        },
    };
    Ok((publication, configuration::warnings(&report)))
}

/// A version's document byte for byte, for a file.
pub async fn export(
    State(app): State<App>,
    Operator(_): Operator,
    Path((fleet, number)): Path<(String, u64)>,
    headers: HeaderMap,
    read: Read,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let view = view(&app, &read, &[Topic::Versions]).await?;
    let version = version(&view.state, &fleet, number)?;
    let mut response = match has(&headers, version.digest) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => raw(version)?.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let name = format!("attachment; filename=\"krakend-{fleet}-v{number}.json\"");
    if let Ok(value) = name.parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    set_etag(&mut response, Some(version.digest));
    Ok(response)
}

/// Whether the caller has it already.
fn has(headers: &HeaderMap, digest: Digest) -> bool {
    let value = headers.get(header::IF_NONE_MATCH);
    let digest = digest.to_string();
    value
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| {
            text.split(',')
                .any(|tag| tag.trim().trim_start_matches("W/").trim_matches('"') == digest)
        })
}
