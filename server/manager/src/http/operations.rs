//! What operators do with single nodes, and the logs of nodes and of this manager.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_api as api;
use krakend_domain::{Command, NodeId};
use krakend_proto::node::{ReadLog, Restart, SetLogLevel, question::Question};
use serde::Deserialize;

use super::{
    access::{Admin, Caller, Operator},
    nodes::parse_id,
    problem::Failure,
    write,
};
use crate::{
    app::App,
    clock,
    nodes::{AskNodeError, ask_node},
};

/// A restart waits until the new gateway is healthy.
const RESTART_WITHIN: Duration = Duration::from_secs(45);
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const MAX_LINES: u32 = 2_000;

/// Query of a log.
#[derive(Debug, Deserialize)]
pub struct LogQuery {
    /// The newest so many lines.
    lines: Option<u32>,
}

impl LogQuery {
    fn lines(&self) -> u32 {
        self.lines.unwrap_or(200).min(MAX_LINES)
    }
}

impl From<AskNodeError> for Failure {
    fn from(error: AskNodeError) -> Self {
        let (status, kind) = match &error {
            AskNodeError::NoSession => (StatusCode::CONFLICT, "node-silent"),
            AskNodeError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "node-busy"),
            AskNodeError::Leader(_) => (StatusCode::SERVICE_UNAVAILABLE, "no-leader"),
            AskNodeError::Ended | AskNodeError::Late(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "indeterminate")
            }
        };
        let mut failure = Self::new(status, kind, error.to_string());
        failure.0.indeterminate = status == StatusCode::GATEWAY_TIMEOUT;
        failure
    }
}

pub async fn drain(
    state: State<App>,
    caller: Operator,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    set_draining(state, caller, path, headers, true).await
}

pub async fn undrain(
    state: State<App>,
    caller: Operator,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    set_draining(state, caller, path, headers, false).await
}

async fn set_draining(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
    draining: bool,
) -> Result<Response, Failure> {
    let command = Command::DrainNode {
        node_id: parse_id(&id)?,
        draining,
        by: caller.name.clone(),
    };
    let what: &[u8] = if draining { b"drain" } else { b"undrain" };
    let request: [&[u8]; 3] = [b"POST node", id.as_bytes(), what];
    let written = write::propose(&app, &caller, &headers, &request, command).await?;
    Ok(written.no_content())
}

/// Answers when the new gateway serves, or says why the old one goes on.
pub async fn restart(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let node_id = known(&app, &id)?;
    caller.may_change_node(&app.group.stale().state, node_id)?;
    let question = Question::Restart(Restart {});
    let asked = ask_node(&app, node_id, question, RESTART_WITHIN).await;
    let problem = match &asked {
        Ok(answer) => (!answer.problem.is_empty()).then(|| answer.problem.clone()),
        Err(error) => Some(error.to_string()),
    };
    tell(&app, node_id, &caller, &headers, problem.clone()).await;
    let answer = asked?;
    match problem {
        None => Ok(Json(api::NodeRestart {
            node_id: node_id.0.to_string(),
            took_ms: answer.took_ms,
        })
        .into_response()),
        Some(problem) => Err(Failure::new(
            StatusCode::CONFLICT,
            "not-restarted",
            format!("the gateway was not restarted, and serves as before: {problem}"),
        )),
    }
}

/// The event. It says what happened already: when it cannot be written, the log has it.
async fn tell(
    app: &App,
    node_id: NodeId,
    caller: &Caller,
    headers: &HeaderMap,
    problem: Option<String>,
) {
    let by = caller.name.clone();
    let problem = problem.map(|text| text.chars().take(1_000).collect());
    let command = Command::ReportRestart {
        node_id,
        by: by.clone(),
        problem,
    };
    let id = node_id.0.to_string();
    let request: [&[u8]; 2] = [b"POST restart", id.as_bytes()];
    let written = write::propose(app, caller, headers, &request, command).await;
    if let Err(failure) = written {
        let reason = &failure.0.detail;
        tracing::warn!("{by} restarted the gateway of {id}, and no event says so: {reason}");
    }
}

pub async fn log(
    State(app): State<App>,
    Operator(_): Operator,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<api::NodeLog>, Failure> {
    let node_id = known(&app, &id)?;
    let question = Question::ReadLog(ReadLog {
        lines: query.lines(),
    });
    let answer = ask_node(&app, node_id, question, ANSWER_WITHIN).await?;
    if !answer.problem.is_empty() {
        return Err(refused(&answer.problem));
    }
    let lines = answer.lines.into_iter().map(|line| api::NodeLogLine {
        time: clock::rfc3339(line.time_ms),
        level: line.level,
        source: line.source,
        message: line.message,
    });
    Ok(Json(api::NodeLog {
        node_id: node_id.0.to_string(),
        lines: lines.collect(),
    }))
}

pub async fn set_node_log_level(
    State(app): State<App>,
    Operator(caller): Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<api::LogLevel>,
) -> Result<Json<api::LogLevel>, Failure> {
    let node_id = known(&app, &id)?;
    caller.may_change_node(&app.group.stale().state, node_id)?;
    let level = wanted.level.unwrap_or_default();
    let question = Question::SetLogLevel(SetLogLevel { level });
    let answer = ask_node(&app, node_id, question, ANSWER_WITHIN).await?;
    if !answer.problem.is_empty() {
        return Err(Failure::bad_request("bad-log-level", answer.problem));
    }
    let level = answer.level;
    tracing::info!("{} set the log level of {id} to {level}", caller.name);
    note_level(&app, &caller, &headers, (id, &level)).await;
    Ok(Json(api::LogLevel { level: Some(level) }))
}

/// Of the manager that answers.
pub async fn manager_log(
    State(app): State<App>,
    Operator(_): Operator,
    Query(query): Query<LogQuery>,
) -> Json<api::ManagerLog> {
    let lines = krakend_log::newest(query.lines() as usize);
    let lines = lines.into_iter().map(|line| api::NodeLogLine {
        time: clock::rfc3339(line.time_ms),
        level: line.level.into(),
        source: line.source.into(),
        message: line.message,
    });
    Json(api::ManagerLog {
        manager: app.settings.name.clone(),
        lines: lines.collect(),
    })
}

/// Of the manager that answers.
pub async fn log_level(Operator(_): Operator) -> Json<api::LogLevel> {
    let level = Some(krakend_log::level());
    Json(api::LogLevel { level })
}

/// Of the manager that answers, until its next start.
pub async fn set_log_level(
    State(app): State<App>,
    Admin(caller): Admin,
    headers: HeaderMap,
    Json(wanted): Json<api::LogLevel>,
) -> Result<Json<api::LogLevel>, Failure> {
    let level = krakend_log::set_level(&wanted.level.unwrap_or_default())
        .map_err(|error| Failure::bad_request("bad-log-level", error.to_string()))?;
    tracing::info!("{} set the log level to {level}", caller.name);
    let manager = app.settings.name.clone();
    note_level(&app, &caller, &headers, (manager, &level)).await;
    Ok(Json(api::LogLevel { level: Some(level) }))
}

/// It is set already, so a trail that cannot be written now does not fail the request: levels are changed above all
/// while something is wrong.
async fn note_level(app: &App, caller: &Caller, headers: &HeaderMap, (of, level): (String, &str)) {
    let what = ("set-log-level", of.clone(), Some(level.to_owned()));
    if let Err(failure) = write::note(app, caller, headers, what).await {
        let reason = &failure.0.detail;
        tracing::warn!(
            "the log level of {of} is {level}, and the audit trail does not say so: {reason}"
        );
    }
}

fn refused(problem: &str) -> Failure {
    Failure::new(StatusCode::CONFLICT, "node-refuses", problem)
}

fn known(app: &App, id: &str) -> Result<NodeId, Failure> {
    let node_id = parse_id(id)?;
    match app.group.stale().state.node(node_id) {
        Some(_) => Ok(node_id),
        None => Err(Failure::new(
            StatusCode::NOT_FOUND,
            "no-such-node",
            format!("there is no node {id}"),
        )),
    }
}
