//! What time it is for the group, whose clock says otherwise, and the operator's word on it.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Applied, ClusterState, Command, ManagerId, Topic, span};
use krakend_raft::StateView;

use super::{
    access::{Admin, Caller, Viewer},
    problem::Failure,
    read::{Read, answer, view},
    write,
};
use crate::{
    app::App,
    clock::{self, rfc3339},
};

/// A clock that is behind the state's time by more is told of: nothing runs out before it has caught up.
const BEHIND_MS: u64 = 60_000;

pub async fn show(
    State(app): State<App>,
    Viewer(_): Viewer,
    read: Read,
) -> Result<Response, Failure> {
    let topics = [Topic::Clock, Topic::Managers];
    let view = view(&app, &read, &topics).await?;
    let body = clocks(&app, &view);
    Ok(answer(&view, body))
}

fn clocks(app: &App, view: &StateView) -> api::Clock {
    let status = app.group.clocks();
    let me = app.group.identity().manager_id;
    let manager = |id: ManagerId, name: &str| {
        let reading = status.readings.iter().find(|reading| reading.id == id);
        api::ManagerClock {
            id: id.to_string(),
            name: name.into(),
            ahead_ms: match id == me {
                true => Some(0),
                false => reading.map(|reading| reading.ahead_ms),
            },
            round_trip_ms: reading.map(|reading| reading.round_trip_ms),
            off: view.state.clocks_off().contains_key(&id),
        }
    };
    let members = app.group.status().members;
    let mut managers: Vec<_> = members
        .iter()
        .map(|member| manager(member.id, &member.node.name))
        .collect();
    managers.sort_by(|a, b| a.name.cmp(&b.name));
    api::Clock {
        state_time: rfc3339(view.state.time_at(status.now_ms)),
        manager_time: rfc3339(status.now_ms),
        hold: view.state.clock_hold().map(|hold| api::ClockHold {
            from: rfc3339(hold.from_ms),
            to: rfc3339(hold.to_ms),
            index: hold.index,
            manager_id: hold.by.map(|id| id.to_string()),
            manager_name: hold.by.map(|id| name(&view.state, id)),
        }),
        managers,
    }
}

fn name(state: &ClusterState, id: ManagerId) -> String {
    let record = state.manager(id);
    record.map_or_else(|| id.to_string(), |record| record.name.clone())
}

/// A jump ahead was right.
pub async fn confirm(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let by = caller.name.clone();
    let command = Command::ConfirmClock { by };
    set(&app, &caller, &headers, b"POST clock confirm", command).await
}

/// The time becomes the leader's clock, also back.
pub async fn reset(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let by = caller.name.clone();
    let command = Command::ResetClock { by };
    set(&app, &caller, &headers, b"POST clock reset", command).await
}

async fn set(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: &[u8],
    command: Command,
) -> Result<Response, Failure> {
    let written = write::propose(app, caller, headers, &[request], command).await?;
    match written.applied {
        Applied::ClockSet { from_ms, to_ms } => {
            let body = serde_json::json!({ "from": rfc3339(from_ms), "to": rfc3339(to_ms) });
            Ok(written.label((StatusCode::OK, Json(body)).into_response()))
        }
        _ => Err(Failure::new(
            StatusCode::CONFLICT,
            "clock-not-held",
            "no jump of the clock is held, so there is nothing to confirm; `POST /v1/clock/reset` sets the time to the leader's clock",
        )),
    }
}

/// What of the clocks wants an operator.
pub fn alarms(app: &App, view: &StateView) -> Vec<api::Alarm> {
    let alarm = |kind: &str, since_ms: u64, message: String| api::Alarm {
        kind: kind.into(),
        message,
        since: rfc3339(since_ms),
    };
    let state = &view.state;
    let time_ms = state.meta().time_ms;
    let mut alarms = Vec::new();
    if let Some(hold) = state.clock_hold() {
        let who = hold.by.map_or("a leader".into(), |id| name(state, id));
        alarms.push(alarm(
            "clock-held",
            hold.from_ms,
            format!(
                "the clock of {who} jumped ahead by {}: lease, licence and reap decisions are held until `clock confirm` or `clock reset`",
                span(hold.to_ms.saturating_sub(hold.from_ms))
            ),
        ));
    }
    for (id, ahead_ms) in state.clocks_off() {
        let way = if *ahead_ms > 0 { "ahead of" } else { "behind" };
        alarms.push(alarm(
            "clock-off",
            time_ms,
            format!(
                "the clock of {} is {} {way} the others': as leader it would write nothing; correct it (NTP)",
                name(state, *id),
                span(ahead_ms.unsigned_abs())
            ),
        ));
    }
    let behind_ms = time_ms.saturating_sub(clock::now_ms());
    if behind_ms > BEHIND_MS {
        let me = &app.settings.name;
        alarms.push(alarm(
            "clock-behind",
            time_ms,
            format!(
                "the clock of {me} is {} behind the group's time: while it leads nothing runs out; correct it (NTP), or `clock reset` if the group's time is wrong",
                span(behind_ms)
            ),
        ));
    }
    alarms
}
