//! The audit trail: listed, exported, verified.

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use krakend_api as api;
use krakend_domain::{AuditRecord, ClusterState, Digest, Topic};
use serde::Deserialize;

use super::{
    access::Operator,
    present,
    problem::Failure,
    read::{Read, answer, view},
};
use crate::{
    app::App,
    clock::{self, parse_rfc3339, rfc3339},
};

const MAX_PAGE: usize = 1_000;
/// Records that go out in one piece of an export.
const TOGETHER: usize = 500;

/// Which records.
#[derive(Debug, Default, Deserialize)]
pub struct AuditQuery {
    fleet: Option<String>,
    /// Name or id of the token, or a manager's name.
    actor: Option<String>,
    action: Option<String>,
    /// RFC 3339, from when on.
    from: Option<String>,
    /// RFC 3339, before when.
    to: Option<String>,
    /// Part of any text of the record, whatever the case.
    q: Option<String>,
    limit: Option<usize>,
    /// Log index before which the page begins.
    cursor: Option<u64>,
}

struct Filter {
    fleet: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    from_ms: u64,
    to_ms: u64,
    text: Option<String>,
}

impl Filter {
    fn of(query: &AuditQuery) -> Result<Self, Failure> {
        let time = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => parse_rfc3339(text).map(Some).ok_or_else(|| {
                Failure::bad_request(
                    "bad-time",
                    format!("{name} is {text:?}: a time like 2026-11-21T10:00:00Z is expected"),
                )
            }),
        };
        Ok(Self {
            fleet: query.fleet.clone(),
            actor: query.actor.clone(),
            action: query.action.clone(),
            from_ms: time("from", &query.from)?.unwrap_or(0),
            to_ms: time("to", &query.to)?.unwrap_or(u64::MAX),
            text: query.q.as_ref().map(|text| text.to_lowercase()),
        })
    }

    fn takes(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|it| it == has);
        let actor = |wanted: &String| {
            let id = record.actor.token_id.map(|id| id.to_string());
            *wanted == record.actor.name || Some(wanted) == id.as_ref()
        };
        is(&self.action, &record.action)
            && self.actor.as_ref().is_none_or(actor)
            && match (&self.fleet, &record.fleet) {
                (None, _) => true,
                (Some(wanted), Some(has)) => wanted == has.as_str(),
                (Some(_), None) => false,
            }
            && (self.from_ms..self.to_ms).contains(&record.time_ms)
            && self.text.as_ref().is_none_or(|text| has(record, text))
    }
}

fn has(record: &AuditRecord, text: &str) -> bool {
    let texts = [
        Some(&record.action),
        Some(&record.subject),
        Some(&record.actor.name),
        Some(&record.actor.request),
        record.actor.address.as_ref(),
        record.before.as_ref(),
        record.after.as_ref(),
    ];
    let mut texts = texts.into_iter().flatten();
    texts.any(|it| it.to_lowercase().contains(text))
}

pub async fn list(
    State(app): State<App>,
    Operator(_): Operator,
    Query(query): Query<AuditQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let filter = Filter::of(&query)?;
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_PAGE);
    let view = view(&app, &read, &[Topic::Audit]).await?;
    let state = &view.state;
    let before = query.cursor.unwrap_or(u64::MAX);
    let wanted = state.audit_before(before).filter(|it| filter.takes(it));
    let mut records: Vec<_> = wanted.take(limit + 1).map(|it| shown(state, it)).collect();
    let more = records.len() > limit;
    records.truncate(limit);
    let body = api::AuditList {
        next_cursor: records
            .last()
            .filter(|_| more)
            .map(|it| it.index.to_string()),
        total: state.audit_len() as u64,
        oldest_index: state.audit().next().map(|it| it.index),
        records,
    };
    Ok(answer(&view, body))
}

/// All records that are asked for, oldest first, one JSON object a line.
pub async fn export(
    State(app): State<App>,
    Operator(_): Operator,
    Query(query): Query<AuditQuery>,
    read: Read,
) -> Result<Response, Failure> {
    let filter = Filter::of(&query)?;
    let view = view(&app, &read, &[Topic::Audit]).await?;
    let state = view.state;
    let after = query.cursor.map_or(0, |cursor| cursor + 1);
    let stream = async_stream::stream! {
        let mut next = after;
        loop {
            let (piece, last) = piece(&state, &filter, next);
            let Some(last) = last else { break };
            next = last + 1;
            yield Ok::<_, std::convert::Infallible>(Bytes::from(piece));
        }
    };
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, "application/x-ndjson");
    set(
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"krakend-audit.jsonl\"",
    );
    Ok(response)
}

/// Lines of the next records, and the last record that was looked at.
fn piece(state: &ClusterState, filter: &Filter, from: u64) -> (Vec<u8>, Option<u64>) {
    let (mut lines, mut last) = (Vec::new(), None);
    let mut previous = None;
    for record in state.audit_from(from).take(TOGETHER) {
        last = Some(record.index);
        let before = previous.unwrap_or_else(|| state.audit_hash_before(record.index));
        previous = Some(record.hash);
        if filter.takes(record) {
            // These types always serialise.
            let line = serde_json::to_vec(&with_previous(record, before)).unwrap_or_default();
            lines.extend(line);
            lines.push(b'\n');
        }
    }
    (lines, last)
}

/// The chain computed anew.
pub async fn verify(
    State(app): State<App>,
    Operator(_): Operator,
    read: Read,
) -> Result<Response, Failure> {
    let view = view(&app, &read, &[Topic::Audit]).await?;
    let state = view.state.clone();
    let verified = tokio::task::spawn_blocking(move || state.audit_verify()).await;
    let verified = verified.map_err(|error| {
        Failure::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            format!("the trail could not be verified: {error}"),
        )
    })?;
    let state = &view.state;
    let records = state.audit_len() as u64;
    let body = api::AuditVerification {
        ok: verified.is_ok(),
        records,
        from_index: state.audit().next().map(|it| it.index),
        to_index: state.audit().next_back().map(|it| it.index),
        head: (records > 0).then(|| state.audit_head().to_string()),
        verified_at: rfc3339(clock::now_ms()),
        problem: verified.err().map(|broken| broken.to_string()),
    };
    Ok(answer(&view, body))
}

fn shown(state: &ClusterState, record: &AuditRecord) -> api::AuditRecord {
    with_previous(record, state.audit_hash_before(record.index))
}

fn with_previous(record: &AuditRecord, previous: Digest) -> api::AuditRecord {
    let actor = &record.actor;
    api::AuditRecord {
        index: record.index,
        time: rfc3339(record.time_ms),
        action: record.action.clone(),
        subject: record.subject.clone(),
        fleet: record.fleet.as_ref().map(ToString::to_string),
        actor: api::AuditActor {
            token_id: actor.token_id.map(|id| id.to_string()),
            name: actor.name.clone(),
            role: actor.role.map(present::role),
            address: actor.address.clone(),
            via: actor.via.as_str().into(),
        },
        request: actor.request.clone(),
        idempotency_key: record.idempotency_key.clone(),
        before: record.before.clone(),
        after: record.after.clone(),
        previous_hash: previous.to_string(),
        hash: record.hash.to_string(),
    }
}
