//! What happened, as a list and as a stream that can be resumed.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event as Message, KeepAlive, Sse},
    },
};
use futures::Stream;
use krakend_api as api;
use krakend_domain::FleetName;
use serde::Deserialize;

use super::{access::Viewer, group, nodes, present, problem::Failure, statistics};
use crate::{app::App, clock};

const LIVE_EVERY: Duration = Duration::from_secs(2);
const MAX_HISTORY: usize = 1_000;

/// Query of the events.
#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    /// A list, newest first, instead of the stream.
    #[serde(default)]
    history: bool,
    limit: Option<usize>,
    /// Resume after this log index; the header Last-Event-ID wins.
    after: Option<u64>,
}

pub async fn events(
    State(app): State<App>,
    Viewer(_): Viewer,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let state = app.group.stale().state;
    if query.history {
        let limit = query.limit.unwrap_or(100).clamp(1, MAX_HISTORY);
        return Ok(Json(api::EventList {
            events: state.events().take(limit).map(present::event).collect(),
            oldest_index: state.oldest_event_index(),
        })
        .into_response());
    }
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.split('.').next()?.parse().ok());
    let after = last.or(query.after);
    if let Some(after) = after {
        let oldest = state.oldest_event_index();
        if after + 1 < oldest {
            return Err(Failure::new(
                StatusCode::GONE,
                "events-gone",
                format!(
                    "events up to index {after} are no longer kept; the oldest is {oldest}: read the list (`?history=true`) and resume from there"
                ),
            ));
        }
    }
    let after = after.unwrap_or_else(|| app.group.stale().applied_index);
    let stream = stream(app, after);
    Ok(Sse::new(stream)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// All events of an entry go out together; between them, live figures.
fn stream(app: App, mut after: u64) -> impl Stream<Item = Result<Message, Infallible>> {
    async_stream::stream! {
        let mut applied = app.group.applied();
        let mut live = tokio::time::interval(LIVE_EVERY);
        live.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let view = app.group.stale();
            let fresh: Vec<_> = view.state.events_after(after).map(present::event).collect();
            for event in fresh {
                after = after.max(event.index);
                if let Ok(message) = message(&event) {
                    yield Ok(message);
                }
            }
            tokio::select! {
                changed = applied.changed() => if changed.is_err() { return },
                _ = live.tick() => for message in live_messages(&app).await {
                    yield Ok(message);
                },
                () = app.stop.cancelled() => return,
            }
        }
    }
}

fn message(event: &api::Event) -> Result<Message, axum::Error> {
    let kind = serde_json::to_value(event.kind).unwrap_or_default();
    Message::default()
        .id(format!("{}.{}", event.index, event.position))
        .event(kind.as_str().unwrap_or("other"))
        .json_data(event)
}

async fn live_messages(app: &App) -> Vec<Message> {
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
    let status = group::group_status(app, &view, &observed);
    [
        Message::default().event("heartbeat").json_data(&status),
        Message::default().event("live").json_data(&figures),
    ]
    .into_iter()
    .flatten()
    .collect()
}
