//! What happened, as a list and as a stream that can be resumed on any manager.

use std::{convert::Infallible, fmt::Write, time::Duration};

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::Stream;
use krakend_api as api;
use krakend_domain::{ClusterState, Event, FleetName, Topic};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    access::{Caller, Viewer},
    group, nodes, present,
    problem::Failure,
    read::{self, Read, answer, view},
    shared::count,
    statistics,
};
use crate::{app::App, clock};

const LIVE_EVERY: Duration = Duration::from_secs(2);
const MAX_HISTORY: usize = 1_000;
/// Events that go out in one write, beyond the entry that reaches it.
const CHUNK_BYTES: usize = 64 * 1024;

/// Query of the events.
#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    /// A list, newest first, instead of the stream.
    #[serde(default)]
    history: bool,
    limit: Option<usize>,
    /// With `history`: where the page before ended, `INDEX.POSITION`.
    cursor: Option<String>,
    kind: Option<api::EventKind>,
    fleet: Option<String>,
    /// Resume after this log index; the header Last-Event-ID wins.
    after: Option<u64>,
}

pub async fn events(
    State(app): State<App>,
    Viewer(caller): Viewer,
    Query(query): Query<EventsQuery>,
    read: Read,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if query.history {
        let view = view(&app, &read, &[Topic::Events]).await?;
        return Ok(answer(&view, history(&view.state, &query)?));
    }
    let place = app.http.streams.enter().ok_or_else(|| {
        Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-streams",
            format!(
                "{} streams are open on this manager already: ask another one, or later",
                app.http.streams.limit()
            ),
        )
    })?;
    let after = begin(&app, &query, &read, &headers).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = Body::from_stream(stream(app, caller, after, place));
    Ok((headers, body).into_response())
}

fn history(state: &ClusterState, query: &EventsQuery) -> Result<api::EventList, Failure> {
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_HISTORY);
    let before = query.cursor.as_deref().map(|cursor| {
        position(cursor).ok_or_else(|| {
            Failure::bad_request(
                "bad-cursor",
                format!("cursor is {cursor:?}: INDEX.POSITION of an event is expected"),
            )
        })
    });
    let before = before.transpose()?.unwrap_or((u64::MAX, u32::MAX));
    let wanted = state
        .events()
        .filter(|event| (event.index, event.position) < before)
        .map(present::event)
        .filter(|event| query.kind.is_none_or(|kind| event.kind == kind))
        .filter(|event| query.fleet.is_none() || event.fleet == query.fleet);
    let mut events: Vec<_> = wanted.take(limit + 1).collect();
    let more = events.len() > limit;
    events.truncate(limit);
    let last = events.last().filter(|_| more);
    Ok(api::EventList {
        next_cursor: last.map(|it| format!("{}.{}", it.index, it.position)),
        events,
        oldest_index: state.oldest_event_index(),
    })
}

/// After which event the stream begins. A manager that has not come that far yet waits for it.
async fn begin(
    app: &App,
    query: &EventsQuery,
    read: &Read,
    headers: &HeaderMap,
) -> Result<(u64, u32), Failure> {
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().unwrap_or_default();
        position(id).ok_or_else(|| {
            Failure::bad_request(
                "bad-event-id",
                format!("Last-Event-ID is {id:?}: INDEX.POSITION of an event is expected"),
            )
        })
    });
    let after = last.transpose()?.or(query.after.map(|it| (it, u32::MAX)));
    let Some(after) = after else {
        return Ok((app.group.stale().applied_index, u32::MAX));
    };
    let local = app.group.stale();
    if local.applied_index < after.0
        && let Ok(view) = view(app, read, &[]).await
        && view.applied_index < after.0
    {
        return Err(read::ahead(after.0, view.applied_index));
    }
    match is_gone(&app.group.stale().state, after) {
        true => Err(gone(&app.group.stale().state, after.0)),
        false => Ok(after),
    }
}

/// `INDEX` or `INDEX.POSITION`.
fn position(id: &str) -> Option<(u64, u32)> {
    match id.split_once('.') {
        Some((index, position)) => Some((index.parse().ok()?, position.parse().ok()?)),
        None => Some((id.parse().ok()?, u32::MAX)),
    }
}

/// Whether something after `after` is no longer kept.
fn is_gone(state: &ClusterState, after: (u64, u32)) -> bool {
    let oldest = state.oldest_event_index();
    after.0 < oldest || (after.0 == oldest && oldest > 0 && after.1 != u32::MAX)
}

fn gone(state: &ClusterState, after: u64) -> Failure {
    let oldest = state.oldest_event_index();
    let mut failure = Failure::new(
        StatusCode::GONE,
        "events-gone",
        format!(
            "events after index {after} are no longer kept; all after {oldest} are: read the state (or `?history=true`), then resume with `after={oldest}` or from its X-Cluster-Index"
        ),
    );
    failure.0.oldest_index = Some(oldest);
    failure
}

/// All events of an entry go out in one write; between them, live figures. Nothing is made before the reader has
/// taken what was made before, so a slow one costs one chunk, and one that takes nothing is hung up on.
fn stream(
    app: App,
    caller: Caller,
    mut after: (u64, u32),
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let _place = place;
        let mut changes = app.http.watch.receiver(Topic::Events);
        let mut live = tokio::time::interval(LIVE_EVERY);
        live.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            changes.borrow_and_update();
            match next(&app, &caller, after) {
                Next::Events(chunk, last) => {
                    after = last;
                    yield Ok(chunk);
                    continue;
                }
                Next::Last(chunk) => {
                    yield Ok(chunk);
                    return;
                }
                Next::End => return,
                Next::Wait => {}
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = live.tick() => yield Ok(live_messages(&app).await),
                () = app.stop.cancelled() => return,
            }
        }
    }
}

enum Next {
    Events(Bytes, (u64, u32)),
    /// Said before the stream ends.
    Last(Bytes),
    End,
    Wait,
}

/// What a reader gets next. Holds no state on return, so that a slow one keeps none alive.
fn next(app: &App, caller: &Caller, after: (u64, u32)) -> Next {
    let state = app.group.stale().state;
    if !caller.is_valid(&state) {
        return Next::End;
    }
    if is_gone(&state, after) {
        count(&app.http.counters.streams_gone);
        let problem = gone(&state, after.0).0;
        return Next::Last(message("gone", None, &problem).into());
    }
    match chunk(state.events_after(after)) {
        Some((text, last)) => Next::Events(text.into(), last),
        None => Next::Wait,
    }
}

/// Whole entries until the chunk is full, and where it ends.
fn chunk<'a>(events: impl Iterator<Item = &'a Event>) -> Option<(String, (u64, u32))> {
    let mut text = String::new();
    let mut last = None;
    for event in events {
        let full = text.len() >= CHUNK_BYTES;
        if full && last.is_some_and(|(index, _)| index != event.index) {
            break;
        }
        let shown = present::event(event);
        let kind = serde_json::to_value(shown.kind).unwrap_or_default();
        let id = (event.index, event.position);
        text.push_str(&message(kind.as_str().unwrap_or("other"), Some(id), &shown));
        last = Some(id);
    }
    last.map(|last| (text, last))
}

/// One message of an event stream. JSON has no line breaks, so the data is one line.
fn message<T: Serialize>(kind: &str, id: Option<(u64, u32)>, data: &T) -> String {
    let mut text = String::new();
    if let Some((index, position)) = id {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "id: {index}.{position}");
    }
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(text, "event: {kind}\ndata: {data}\n\n");
    text
}

async fn live_messages(app: &App) -> Bytes {
    let observed = group::observed(app).await;
    let view = app.group.stale();
    let fleet = FleetName::default_fleet();
    let (requests, errors, sketch) = statistics::live(&view.state, &fleet, clock::now_ms());
    let figures = serde_json::json!({
        "nodes": nodes::all(app, &view.state),
        "managers": group::manager_list(&view, &observed),
        "statistics": {
            "now_requests_per_s": requests,
            "now_errors_per_s": errors,
            "now_latency": present::latency(&sketch),
        },
    });
    let mut text = message(
        "heartbeat",
        None,
        &group::group_status(app, &view, &observed),
    );
    text.push_str(&message("live", None, &figures));
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u64, position: u32, length: usize) -> Event {
        Event {
            index,
            position,
            time_ms: 0,
            kind: krakend_domain::EventKind::NodeJoined,
            fleet: None,
            subject_id: None,
            subject_name: None,
            version: None,
            message: "x".repeat(length),
        }
    }

    #[test]
    fn an_entry_is_never_split_between_two_writes() {
        let events = [
            event(1, 0, 10),
            event(2, 0, CHUNK_BYTES),
            event(2, 1, 10),
            event(3, 0, 10),
        ];
        let (text, last) = chunk(events.iter()).expect("events");
        assert_eq!(last, (2, 1));
        assert!(text.ends_with("\n\n"));
        assert_eq!(text.matches("event: node_joined\n").count(), 3);
        let (text, last) = chunk(events[3..].iter()).expect("events");
        assert_eq!(last, (3, 0));
        assert!(text.starts_with("id: 3.0\nevent: node_joined\ndata: {"));
        assert!(chunk([].iter()).is_none());
    }

    #[test]
    fn a_stream_is_resumed_by_index_and_position() {
        assert_eq!(position("7.2"), Some((7, 2)));
        assert_eq!(position("7"), Some((7, u32::MAX)));
        assert_eq!(position("7.x"), None);
        assert_eq!(position(""), None);
    }
}
