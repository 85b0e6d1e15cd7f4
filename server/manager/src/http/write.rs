//! Writes: proposed to the leader, once for an Idempotency-Key.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use krakend_domain::{Applied, Command, Digest};
use sha2::{Digest as _, Sha256};

use super::problem::Failure;
use crate::app::App;

const WRITE_WITHIN: Duration = Duration::from_secs(10);
const MAX_KEY: usize = 255;

/// What a write did, and the log index that did it.
pub struct Written {
    pub index: u64,
    pub applied: Applied,
}

/// Proposes `command`. `request` is everything that makes the request what it is, for noticing a reused key.
pub async fn propose(
    app: &App,
    headers: &HeaderMap,
    request: &[&[u8]],
    command: Command,
) -> Result<Written, Failure> {
    let command = match key(headers)? {
        None => command,
        Some(key) => Command::Idempotent {
            key,
            request: digest(request),
            command: Box::new(command),
        },
    };
    let proposed = app
        .group
        .propose(command, Instant::now() + WRITE_WITHIN)
        .await?;
    match proposed.applied {
        Applied::Replayed { index, result } => Ok(Written {
            index,
            applied: (*result)?,
        }),
        applied => Ok(Written {
            index: proposed.index,
            applied,
        }),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
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
    Ok(Some(text.into()))
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}
