//! Reads: linearizable unless asked otherwise, always labelled.

use std::time::{Duration, Instant};

use axum::{
    Json,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use krakend_raft::StateView;
use serde::{Deserialize, Serialize};

use super::problem::Failure;
use crate::app::App;

const READ_WITHIN: Duration = Duration::from_secs(5);

/// Query parameters that every read takes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ReadQuery {
    #[serde(default)]
    pub consistency: Consistency,
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    #[default]
    Linearizable,
    Stale,
}

/// The state to answer from.
pub async fn view(app: &App, consistency: Consistency) -> Result<StateView, Failure> {
    match consistency {
        Consistency::Stale if app.group.is_quarantined() => {
            Err(krakend_raft::ReadError::Quarantined.into())
        }
        Consistency::Stale => Ok(app.group.stale()),
        Consistency::Linearizable => {
            Ok(app.group.linearizable(Instant::now() + READ_WITHIN).await?)
        }
    }
}

/// JSON with the headers that say how old it is.
pub fn answer<T: Serialize>(view: &StateView, body: T) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    set("x-cluster-index", view.applied_index.to_string());
    set(
        "x-cluster-leader",
        view.leader.map(|id| id.to_string()).unwrap_or_default(),
    );
    set("x-cluster-staleness-ms", view.staleness_ms.to_string());
    (headers, Json(body)).into_response()
}
