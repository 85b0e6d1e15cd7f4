use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{
    Applied, ClusterState, Digest, FleetName, GatewayKind, NodeState, Publication, Rejected, Topic,
};
use krakend_gateway::{Report, Severity, Strictness};
use serde::Deserialize;

use super::{
    access::{Caller, Operator, Viewer},
    deadline::deadline,
    document::{canonical_digest, compress, document, hide_secrets},
    large, present,
    problem::Failure,
    read::{Read, answer, linearizable, view},
    write::{self, Refused, Written},
};
use crate::{app::App, diff};

/// Largest body that is read; `max_document_bytes` is what is taken, and somewhat less.
pub const MAX_BODY_BYTES: usize = 17 << 20;
const LARGE_BYTES: usize = 256 << 10;
pub(super) const MAX_TEXT: usize = 500;
/// Changes that a 409 lists.
const MAX_CHANGES: usize = 200;

/// Query of a publication.
#[derive(Debug, Default, Deserialize)]
pub struct PublishQuery {
    /// Why; at most 500 characters.
    #[serde(default)]
    message: String,
}

/// Query of the version list.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    /// Number before which the page begins.
    cursor: Option<u64>,
    limit: Option<usize>,
}

pub async fn list(
    State(app): State<App>,
    Viewer(_): Viewer,
    Path(fleet): Path<String>,
    Query(query): Query<ListQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let view = view(&app, &read, &[Topic::Versions]).await?;
    existing(&view.state, &fleet)?;
    let limit = query.limit.unwrap_or(100).clamp(1, 1_000);
    let before = query.cursor.unwrap_or(u64::MAX);
    let mut versions: Vec<_> = view
        .state
        .versions(&fleet)
        .filter(|version| version.number < before)
        .take(limit + 1)
        .map(|version| present::version(version))
        .collect();
    let more = versions.len() > limit;
    versions.truncate(limit);
    let next_cursor = versions
        .last()
        .filter(|_| more)
        .map(|v| v.number.to_string());
    let etag = view
        .state
        .newest_version(&fleet)
        .map(|version| version.digest);
    let mut response = answer(
        &view,
        api::VersionList {
            versions,
            next_cursor,
        },
    );
    set_etag(&mut response, etag);
    Ok(response)
}

pub async fn show(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Path((fleet, number)): Path<(String, u64)>,
    read: Read,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let view = view(&app, &read, &[Topic::Versions, Topic::Nodes]).await?;
    let version = view
        .state
        .version(&fleet, number)
        .ok_or_else(|| Failure::not_found(format!("fleet {fleet} has no version {number}")))?;
    let mut document = document(version)?;
    if caller.role == krakend_domain::Role::Viewer {
        hide_secrets(&mut document);
    }
    let body = api::Version {
        summary: present::version(version),
        document,
        rollout: present::progress(&view.state, version),
    };
    let etag = Some(version.digest);
    let mut response = answer(&view, body);
    set_etag(&mut response, etag);
    Ok(response)
}

/// Checks a document as a publication would, and changes nothing.
pub async fn check(
    State(app): State<App>,
    Operator(_): Operator,
    Path(fleet): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    within_limit(&app, &body)?;
    let (report, _) = judged(&app, &fleet, &headers, &body).await?;
    Ok(Json(warnings(&report)).into_response())
}

pub async fn publish(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(fleet): Path<String>,
    Query(query): Query<PublishQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let fleet = fleet_name(&fleet)?;
    let parent = precondition(&headers)?;
    within_limit(&app, &body)?;
    if query.message.chars().count() > MAX_TEXT {
        return Err(Failure::bad_request(
            "message-too-long",
            format!("the message is longer than {MAX_TEXT} characters"),
        ));
    }
    let parent_text = parent.map(|parent| parent.to_string()).unwrap_or_default();
    let request: [&[u8]; 5] = [
        b"POST version",
        fleet.as_str().as_bytes(),
        parent_text.as_bytes(),
        query.message.as_bytes(),
        &body,
    ];
    let (report, digest) = match judged(&app, &fleet, &headers, &body).await {
        Ok(judged) => judged,
        // The fleet may have become stricter since the first attempt of this request.
        Err(failure) => match Box::pin(write::first(&app, &caller, &headers, &request)).await {
            Some(first) => return published(&fleet, &first?, Vec::new()),
            None => return Err(failure),
        },
    };
    let publication = Publication {
        fleet: fleet.clone(),
        parent,
        digest,
        body: compress(&body)?.into(),
        size_bytes: body.len() as u64,
        author: caller.name.clone(),
        message: query.message.clone(),
    };
    let asked = (&caller, &headers, &request[..]);
    submit(&app, asked, publication, warnings(&report)).await
}

/// Proposes a publication, in pieces where it is large.
pub(super) async fn submit(
    app: &App,
    (caller, headers, request): (&Caller, &HeaderMap, &[&[u8]]),
    publication: Publication,
    warnings: Vec<api::Finding>,
) -> Result<Response, Failure> {
    let (fleet, parent) = (publication.fleet.clone(), publication.parent);
    let prepared = large::prepare(app, publication).await?;
    let upload = prepared.upload();
    let written = write::submit(app, caller, headers, request, prepared.command).await;
    // Also after a success: a repeated request is answered without using its pieces.
    large::discard(app, upload).await;
    match written {
        Ok(written) => published(&fleet, &written, warnings),
        Err(Refused::Rejected(rejected)) => Err(explain_stale(app, &fleet, parent, rejected)),
        Err(refused) => Err(refused.into()),
    }
}

pub(super) fn published(
    fleet: &FleetName,
    written: &Written,
    warnings: Vec<api::Finding>,
) -> Result<Response, Failure> {
    let Applied::Published { number, digest, .. } = written.applied else {
        return Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            "a publication was answered with something else",
        ));
    };
    let body = api::Published {
        number,
        digest: digest.to_string(),
        index: written.index,
        warnings,
    };
    let location = format!("/v1/fleets/{fleet}/versions/{number}");
    let mut response = (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(body),
    )
        .into_response();
    set_etag(&mut response, Some(digest));
    Ok(written.label(response))
}

pub fn fleet_name(text: &str) -> Result<FleetName, Failure> {
    text.parse()
        .map_err(|error: krakend_domain::FleetNameError| {
            Failure::bad_request("bad-fleet-name", error.to_string())
        })
}

pub(super) fn existing(state: &ClusterState, fleet: &FleetName) -> Result<(), Failure> {
    match state.fleet(fleet) {
        Some(_) => Ok(()),
        None if state.meta().group_id.is_none() => Err(Rejected::NotBootstrapped.into()),
        None => Err(Rejected::NoSuchFleet(fleet.clone()).into()),
    }
}

/// `If-None-Match: *` for the first version, `If-Match: "<digest>"` for every other.
fn precondition(headers: &HeaderMap) -> Result<Option<Digest>, Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, Some("*")) => Ok(None),
        (Some(etag), None) => {
            let digest = etag.trim().trim_start_matches("W/").trim_matches('"');
            digest
                .parse()
                .map(Some)
                .map_err(|error: krakend_domain::DigestError| {
                    Failure::bad_request("bad-if-match", format!("If-Match {etag}: {error}"))
                })
        }
        (None, None) => Err(Failure::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "name the version that you started from: `If-None-Match: *` for a fleet's first version, then `If-Match: \"<digest of the newest version>\"`",
        )),
        _ => Err(Failure::bad_request(
            "bad-precondition",
            "send either `If-Match: \"<digest>\"` or `If-None-Match: *`, not both",
        )),
    }
}

/// A fleet of real KrakenDs is judged by KrakenD's own check; any other by what the embedded gateway supports.
fn strictness(state: &ClusterState, fleet: &FleetName) -> Strictness {
    let mut nodes = state
        .nodes_of(fleet)
        .filter(|node| node.state != NodeState::Removed)
        .peekable();
    let none = nodes.peek().is_none();
    if none || nodes.any(|node| node.gateway == GatewayKind::Embedded) {
        Strictness::Strict
    } else {
        Strictness::Lenient
    }
}

pub(super) fn within_limit(app: &App, body: &[u8]) -> Result<(), Failure> {
    let limit = app.settings.max_document_bytes;
    if body.len() <= limit {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "document-too-large",
        format!(
            "the document has {} bytes; at most {limit} are taken (`max_document_bytes`)",
            body.len()
        ),
    ))
}

fn checked(
    state: &ClusterState,
    fleet: &FleetName,
    body: &[u8],
) -> Result<(Report, Digest), Failure> {
    let check = || {
        let (report, value) = krakend_gateway::examine(body, strictness(state, fleet));
        (report, value.map(|value| canonical_digest(&value)))
    };
    let (report, digest) = match body.len() {
        // A large one takes long, and other requests must not wait for it.
        LARGE_BYTES.. => tokio::task::block_in_place(check),
        _ => check(),
    };
    if let Some(digest) = digest {
        return Ok((report, digest?));
    }
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    let first = findings.iter().find(|finding| finding.severity == "error");
    let first = first.map(|f| format!("line {}, column {}: {}", f.line, f.column, f.message));
    let mut failure = Failure::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-configuration",
        first.unwrap_or_default(),
    );
    failure.0.findings = findings;
    Err(failure)
}

/// Judges a document. A refusal is given by the group's state: this manager may be behind, or have been away.
pub(super) async fn judged(
    app: &App,
    fleet: &FleetName,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Report, Digest), Failure> {
    let by = |state: &ClusterState| {
        existing(state, fleet)?;
        checked(state, fleet, body)
    };
    // The state is let go at once: while somebody holds it, whoever applies has to copy what it changes.
    let known = by(&app.group.stale().state);
    match known {
        Ok(judged) => Ok(judged),
        Err(_) => {
            let newest = Box::pin(linearizable(app, deadline(headers)?));
            by(&newest.await?.state)
        }
    }
}

fn finding(finding: &krakend_gateway::Finding) -> api::Finding {
    api::Finding {
        severity: match finding.severity {
            Severity::Error => "error".into(),
            Severity::Warning => "warning".into(),
        },
        code: finding.code.into(),
        pointer: finding.pointer.clone(),
        line: finding.line as u64,
        column: finding.column as u64,
        message: finding.message.clone(),
    }
}

pub(super) fn warnings(report: &Report) -> Vec<api::Finding> {
    report.findings.iter().map(finding).collect()
}

/// Adds to a 409 who published the newer version, and what it changed: the version that was the newest when the
/// request was decided, so that a retry gets the same answer.
pub(super) fn explain_stale(
    app: &App,
    fleet: &FleetName,
    parent: Option<Digest>,
    rejected: Rejected,
) -> Failure {
    let newest = match &rejected {
        Rejected::StaleParent { current } => current.map(|(number, _)| number),
        _ => None,
    };
    let mut failure = Failure::from(rejected);
    let state = app.group.stale().state;
    let Some(current) = newest.and_then(|number| state.version(fleet, number)) else {
        return failure;
    };
    failure.0.detail = format!(
        "{} published version {} at {}, after the version that you started from: read it, merge, and publish with `If-Match: \"{}\"`",
        current.author,
        current.number,
        crate::clock::rfc3339(current.published_ms),
        current.digest
    );
    failure.0.current = Some(present::version(current));
    let started = parent.and_then(|parent| state.version_by_digest(fleet, &parent));
    if let (Some(Ok(old)), Ok(new)) = (started.map(|old| document(old)), document(current)) {
        let names = ("the version that you started from", "the newest version");
        let text = diff::unified(&old, &new, names, Some(2));
        failure.0.diff = Some(text.chars().take(64 * 1024).collect());
        failure.0.changes = diff::structural(&old, &new).changes;
        failure.0.changes.truncate(MAX_CHANGES);
    }
    failure
}

pub(super) fn set_etag(response: &mut Response, digest: Option<Digest>) {
    if let Some(value) = digest.and_then(|digest| format!("\"{digest}\"").parse().ok()) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_without_a_precondition_is_refused_with_428() {
        let failure = precondition(&HeaderMap::new()).expect_err("refused");
        assert_eq!(failure.0.status, 428);
        assert!(failure.0.detail.contains("If-None-Match"));
    }
}
