//! Writes: proposed to the leader, once for an Idempotency-Key of a caller.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use krakend_domain::{Applied, Command, Digest, Rejected};
use krakend_raft::ProposeError;
use sha2::{Digest as _, Sha256};

use super::{access::Caller, deadline::deadline, problem::Failure, shared::count};
use crate::app::App;

const MAX_KEY: usize = 255;
/// From this feature level on writes are audited.
pub const AUDIT_LEVEL: u32 = 5;

/// What a write did, and the log index that did it.
#[derive(Debug)]
pub struct Written {
    pub index: u64,
    pub applied: Applied,
    /// The first answer to this Idempotency-Key, given again.
    pub replayed: bool,
}

/// A write that did nothing, or may not have.
#[derive(Debug)]
pub enum Refused {
    /// Decided by the state.
    Rejected(Rejected),
    Failure(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(rejected) => rejected.into(),
            Refused::Failure(failure) => failure,
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Written {
    /// Adds the index, and that it is a repetition where it is one.
    pub fn label(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(
            HeaderName::from_static("x-cluster-index"),
            HeaderValue::from(self.index),
        );
        if self.replayed {
            headers.insert(
                HeaderName::from_static("idempotent-replayed"),
                HeaderValue::from_static("true"),
            );
        }
        response
    }

    pub fn no_content(&self) -> Response {
        self.label(StatusCode::NO_CONTENT.into_response())
    }
}

/// Proposes `command`. `request` is everything that makes the request what it is, for noticing a reused key.
pub async fn propose(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: &[&[u8]],
    command: Command,
) -> Result<Written, Failure> {
    let submitted = submit(app, caller, headers, request, command).await;
    submitted.map_err(Failure::from)
}

/// As [`propose`], for who has more to say about a rejection.
pub async fn submit(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: &[&[u8]],
    command: Command,
) -> Result<Written, Refused> {
    let deadline = deadline(headers)?;
    if caller.scope.is_some() {
        caller.may(&app.group.stale().state, &command)?;
    }
    let command = audited(caller, command);
    let command = match key(caller, headers)? {
        None => command,
        Some(key) => Command::Idempotent {
            key,
            request: digest(request),
            command: Box::new(command),
        },
    };
    let _place = app.http.writes.enter().ok_or_else(|| {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            format!(
                "{} writes wait on this manager already, so nothing was written: try another manager, or later",
                app.http.writes.limit()
            ),
        )
    })?;
    if !app.group.leadership().borrow().is_me {
        count(&app.http.counters.writes_forwarded);
    }
    let proposed = app.group.propose(command, deadline).await;
    let written = match proposed {
        Ok(proposed) => replayed(proposed.index, proposed.applied),
        Err(ProposeError::Rejected { rejected, .. }) => Err(Refused::Rejected(rejected)),
        Err(error) => Err(Refused::Failure(error.into())),
    };
    tally(app, &written);
    written
}

/// Writes into the audit trail what is done that is not in the group's state. Groups below the level of the trail have
/// none.
///
/// # Errors
/// As any write.
pub async fn note(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    (action, subject, after): (&str, String, Option<String>),
) -> Result<(), Failure> {
    if !caller.audited {
        return Ok(());
    }
    let command = Command::RecordAction {
        action: action.into(),
        subject: subject.clone(),
        after,
    };
    let request: [&[u8]; 2] = [action.as_bytes(), subject.as_bytes()];
    propose(app, caller, headers, &request, command)
        .await
        .map(drop)
}

/// The command as the audit trail takes it, in a group that has one.
pub fn audited(caller: &Caller, command: Command) -> Command {
    if !caller.audited {
        return command;
    }
    Command::Audited {
        actor: caller.actor(),
        command: Box::new(command),
    }
}

fn replayed(index: u64, applied: Applied) -> Result<Written, Refused> {
    match applied {
        Applied::Replayed { index, result } => match *result {
            Ok(applied) => Ok(Written {
                index,
                applied,
                replayed: true,
            }),
            Err(rejected) => Err(Refused::Rejected(rejected)),
        },
        applied => Ok(Written {
            index,
            applied,
            replayed: false,
        }),
    }
}

fn tally(app: &App, written: &Result<Written, Refused>) {
    let counters = &app.http.counters;
    count(match written {
        Ok(written) if written.replayed => &counters.writes_replayed,
        Ok(_) => &counters.writes_done,
        Err(Refused::Rejected(_)) => &counters.writes_rejected,
        Err(Refused::Failure(failure)) if failure.0.indeterminate => &counters.writes_indeterminate,
        Err(Refused::Failure(_)) => &counters.writes_failed,
    });
}

/// The first answer to this request, when it had one: for a retry that would no longer pass the checks before the
/// proposal. Without a key, or when the group cannot say, there is none.
pub async fn first(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: &[&[u8]],
) -> Option<Result<Written, Refused>> {
    let key = key(caller, headers).ok()??;
    let deadline = deadline(headers).ok()?;
    let view = app.group.linearizable(deadline).await.ok()?;
    let first = view.state.first_answer(&key)?;
    if first.request != digest(request) {
        let index = first.index;
        return Some(Err(Refused::Rejected(Rejected::IdempotencyKeyReused {
            index,
        })));
    }
    let answer = Applied::Replayed {
        index: first.index,
        result: Box::new(first.result.clone()),
    };
    let written = replayed(first.index, answer);
    tally(app, &written);
    Some(written)
}

/// Keys are the caller's own: two callers with the same key do not meet.
fn key(caller: &Caller, headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > MAX_KEY {
        return Err(Failure::bad_request(
            "bad-idempotency-key",
            format!(
                "Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters, best a UUID"
            ),
        ));
    }
    Ok(Some(format!("{}:{text}", caller.id)))
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn caller(id: u128) -> Caller {
        Caller {
            id: Uuid::from_u128(id),
            name: "same".into(),
            role: krakend_domain::Role::Admin,
            expires_ms: None,
            origin: super::super::access::Origin::default(),
            scope: None,
            audited: true,
            place: None,
        }
    }

    #[test]
    fn two_callers_with_one_key_do_not_meet() {
        let mut headers = HeaderMap::new();
        assert_eq!(key(&caller(1), &headers).ok(), Some(None));
        headers.insert("idempotency-key", HeaderValue::from_static("k"));
        let one = key(&caller(1), &headers).expect("a key");
        let two = key(&caller(2), &headers).expect("a key");
        assert_ne!(one, two);
        assert_eq!(one, key(&caller(1), &headers).expect("a key"));
        headers.insert("idempotency-key", HeaderValue::from_static(""));
        assert!(key(&caller(1), &headers).is_err());
    }

    #[test]
    fn a_request_is_told_apart_by_all_its_parts_and_their_bounds() {
        assert_eq!(digest(&[b"a", b"b"]), digest(&[b"a", b"b"]));
        assert_ne!(digest(&[b"a", b"b"]), digest(&[b"ab"]));
        assert_ne!(digest(&[b"a", b"b"]), digest(&[b"a", b"c"]));
    }
}
