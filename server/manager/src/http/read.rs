//! Reads: linearizable unless asked otherwise, always labelled; with `index` they wait for a change.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{FromRequestParts, Query},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use krakend_domain::Topic;
use krakend_raft::StateView;
use serde::{Deserialize, Serialize};

use super::{deadline::deadline, problem::Failure, shared::count, watch::newest};
use crate::app::App;

/// How long a blocking read waits when it does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(5 * 60);
const MAX_WAIT: Duration = Duration::from_secs(10 * 60);
/// Up to this part of the wait is added, so that readers that began together do not come back together.
const JITTER: u32 = 16;

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    #[default]
    Linearizable,
    Stale,
}

/// What every read may ask for, beside its own parameters.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    consistency: Consistency,
    /// Answer when something has changed after this log index, or after `wait`.
    after: Option<u64>,
    wait: Duration,
    deadline: Instant,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    consistency: Option<String>,
    index: Option<String>,
    wait: Option<String>,
}

impl FromRequestParts<App> for Read {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        let asked = Query::<Asked>::try_from_uri(&parts.uri)
            .map_err(|error| Failure::bad_request("bad-query", error.body_text()))?;
        Self::parse(&asked.0, &parts.headers)
    }
}

impl Read {
    fn parse(asked: &Asked, headers: &HeaderMap) -> Result<Self, Failure> {
        let consistency = match asked.consistency.as_deref() {
            None | Some("linearizable") => Consistency::Linearizable,
            Some("stale") => Consistency::Stale,
            Some(other) => {
                return Err(Failure::bad_request(
                    "bad-consistency",
                    format!("consistency is {other:?}: `linearizable` or `stale` is expected"),
                ));
            }
        };
        let index = asked.index.as_deref();
        let after = index.map(|text| {
            text.parse().map_err(|_| {
                Failure::bad_request(
                    "bad-index",
                    format!(
                        "index is {text:?}: the X-Cluster-Index of an earlier answer is expected"
                    ),
                )
            })
        });
        let wait = asked.wait.as_deref().map(parse_wait).transpose()?;
        Ok(Self {
            consistency,
            after: after.transpose()?,
            wait: wait.unwrap_or(DEFAULT_WAIT),
            deadline: deadline(headers)?,
        })
    }

    /// The same without waiting for a change, after a wait of its own.
    pub fn now(self) -> Self {
        Self {
            after: None,
            deadline: self.deadline.max(Instant::now() + MIN_LAST_LOOK),
            ..self
        }
    }
}

pub fn parse_wait(text: &str) -> Result<Duration, Failure> {
    let parsed = [("ms", 1), ("s", 1_000), ("m", 60_000)]
        .into_iter()
        .find_map(|(unit, ms)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Duration::from_millis(number.checked_mul(ms)?))
        });
    parsed.filter(|wait| *wait <= MAX_WAIT).ok_or_else(|| {
        Failure::bad_request(
            "bad-wait",
            format!("wait is {text:?}: for instance 500ms, 30s or 5m is expected, at most 10m"),
        )
    })
}

/// The state to answer from: as fresh as asked, and changed in one of `topics` since the reader's index.
pub async fn view(app: &App, read: &Read, topics: &[Topic]) -> Result<StateView, Failure> {
    let Some(after) = read.after else {
        return fresh(app, read.consistency, read.deadline).await;
    };
    // Followed before the first look, so that nothing falls in between.
    let changed = app.http.watch.beyond(topics, after);
    let view = fresh(app, read.consistency, read.deadline).await?;
    if newest(&view, topics) > after {
        return Ok(view);
    }
    if read.consistency == Consistency::Linearizable && view.applied_index < after {
        return Err(ahead(after, view.applied_index));
    }
    drop(view);
    let _place = app.http.waiting.enter().ok_or_else(|| {
        Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-waiting",
            format!(
                "{} reads wait on this manager already: ask another one, or later",
                app.http.waiting.limit()
            ),
        )
    })?;
    let wait = read.wait + read.wait.mul_f64(rand::random::<f64>()) / JITTER;
    tokio::select! {
        () = changed => Ok(app.group.stale()),
        () = tokio::time::sleep(wait) => {
            let deadline = Instant::now() + read.deadline.saturating_duration_since(Instant::now()).max(MIN_LAST_LOOK);
            let view = fresh(app, read.consistency, deadline).await?;
            match view.applied_index < after {
                true => Err(behind(after, view.applied_index)),
                false => Ok(view),
            }
        }
        () = app.stop.cancelled() => Err(stopping()),
    }
}

/// What remains at least for the look after a wait that changed nothing.
const MIN_LAST_LOOK: Duration = Duration::from_secs(5);

/// The state with everything that was acknowledged before.
pub async fn linearizable(app: &App, deadline: Instant) -> Result<StateView, Failure> {
    fresh(app, Consistency::Linearizable, deadline).await
}

async fn fresh(
    app: &App,
    consistency: Consistency,
    deadline: Instant,
) -> Result<StateView, Failure> {
    let counters = &app.http.counters;
    if consistency == Consistency::Stale {
        if app.group.is_quarantined() {
            return Err(krakend_raft::ReadError::Quarantined.into());
        }
        count(&counters.reads_stale);
        return Ok(app.group.stale());
    }
    if !app.group.leadership().borrow().is_me {
        count(&counters.reads_forwarded);
    }
    match app.group.linearizable(deadline).await {
        Ok(view) => {
            count(&counters.reads_linearizable);
            Ok(view)
        }
        Err(error) => {
            count(&counters.reads_failed);
            Err(error.into())
        }
    }
}

/// The reader has seen an index that the group has not: it was restored, or it is another one.
pub fn ahead(after: u64, index: u64) -> Failure {
    Failure::bad_request(
        "index-ahead",
        format!(
            "the group is at index {index}, you have seen {after}: it was restored from a backup, or the index is another group's. Read without `index` and go on from there."
        ),
    )
}

fn behind(after: u64, index: u64) -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "behind",
        format!(
            "this manager is at index {index}, you have seen {after}: ask another manager, or later"
        ),
    )
}

fn stopping() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "this manager is stopping: ask another one",
    )
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
        view.leader
            .map_or_else(|| "unknown".into(), |id| id.to_string()),
    );
    set("x-cluster-staleness-ms", view.staleness_ms.to_string());
    (headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Read, Failure> {
        let uri = format!("http://h/?{query}").parse().expect("a URI");
        let asked = Query::<Asked>::try_from_uri(&uri).expect("a query");
        Read::parse(&asked.0, &HeaderMap::new())
    }

    #[test]
    fn a_read_is_linearizable_and_does_not_wait_unless_it_is_asked_to() {
        let read = parse("").expect("a read");
        assert_eq!(
            (read.consistency, read.after),
            (Consistency::Linearizable, None)
        );
        let read = parse("index=7&wait=30s&consistency=stale&limit=3").expect("a read");
        assert_eq!(
            (read.consistency, read.after),
            (Consistency::Stale, Some(7))
        );
        assert_eq!(read.wait, Duration::from_secs(30));
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_by_name() {
        for (query, kind) in [
            ("consistency=fresh", "bad-consistency"),
            ("index=-1", "bad-index"),
            ("index=", "bad-index"),
            ("wait=30", "bad-wait"),
            ("wait=11m", "bad-wait"),
            ("wait=99999999999999999999s", "bad-wait"),
        ] {
            let failure = parse(query).expect_err(query);
            assert!(
                failure.0.kind.ends_with(kind),
                "{query}: {}",
                failure.0.kind
            );
        }
    }
}
