use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::{Client, PATIENCE, Reply};
use crate::http::Ask;
use crate::robustness::history::{Action, Outcome, Seen, Version, fleet};

/// Where a key's versions are.
pub fn versions_of(key: usize) -> String {
    format!("/v1/fleets/{}/versions", fleet(key))
}

/// Reads, reads stale, and publishes on top of what it read last, on keys and managers at random.
pub async fn run(client: Client, mut rng: StdRng, stop: CancellationToken) {
    let mut known: Vec<Option<Version>> = vec![None; client.shared.keys];
    while !stop.is_cancelled() {
        let manager = client.shared.manager(&mut rng);
        let key = client.shared.key(&mut rng);
        match rng.random_range(0..100) {
            0..45 => {
                if let Some(newest) = read(&client, manager, key, false).await {
                    known[key] = newest;
                }
            }
            45..60 => {
                // What it shows may be old, so it makes no good parent: a conflict is worth something too, now and then.
                let seen = read(&client, manager, key, true).await;
                if let (Some(newest), true) = (seen, rng.random_bool(0.2)) {
                    known[key] = newest;
                }
            }
            _ => {
                if let Some(newest) = publish(&client, manager, key, known[key].as_ref()).await {
                    known[key] = Some(newest);
                }
            }
        }
        let pause = Duration::from_millis(rng.random_range(5..80));
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    }
}

/// One read; the newest version when it was answered.
pub async fn read(
    client: &Client,
    manager: usize,
    key: usize,
    stale: bool,
) -> Option<Option<Version>> {
    let shared = &client.shared;
    let (action, consistency) = if stale {
        (Action::StaleRead { key }, "stale")
    } else {
        (Action::Read { key }, "linearizable")
    };
    let before = shared.starts(manager);
    let id = shared.recorder.invoke(client.id, manager, action);
    let versions = versions_of(key);
    let ask = Ask::get(format!("{versions}?limit=1&consistency={consistency}"));
    let reply = shared.send(manager, ask, PATIENCE).await;
    let run = Some(before).filter(|before| *before == shared.starts(manager));
    let outcome = match newest(&reply) {
        Some((version, index)) => Outcome::Ok(Seen::Newest {
            version,
            index,
            run,
        }),
        None if stale && is_older_than_the_fleet(&reply) => {
            Outcome::Failed("older than the fleet".into())
        }
        None => reply.outcome(),
    };
    shared.recorder.complete(id, manager, outcome.clone());
    match outcome {
        Outcome::Ok(Seen::Newest { version, .. }) => Some(version),
        _ => None,
    }
}

/// A manager that has just come and not caught up may say so to a stale read, and to nothing else.
fn is_older_than_the_fleet(reply: &Reply) -> bool {
    match reply {
        Reply::Answer(answer) => {
            answer.status.as_u16() == 404 && answer.excerpt().contains("no-such-fleet")
        }
        _ => false,
    }
}

fn newest(reply: &Reply) -> Option<(Option<Version>, u64)> {
    let body = reply.json()?;
    let index = reply.header("x-cluster-index")?.parse().ok()?;
    let Some(first) = body["versions"].as_array()?.first() else {
        return Some((None, index));
    };
    Some((Some(version(first)?), index))
}

/// A version as the API lists it; its message carries the value.
pub fn version(listed: &Value) -> Option<Version> {
    Some(Version {
        number: listed["number"].as_u64()?,
        value: listed["message"]
            .as_str()?
            .strip_prefix('w')?
            .parse()
            .ok()?,
        digest: listed["digest"].as_str()?.to_owned(),
    })
}

/// The request that publishes `value` on top of `parent`.
pub fn publication(key: usize, value: u64, parent: Option<&Version>) -> Ask {
    let document = json!({
        "version": 3,
        "name": format!("Value {value}"),
        "host": ["http://127.0.0.1:8081"],
        "endpoints": [{"endpoint": "/value", "method": "GET", "backend": [{"url_pattern": format!("/{value}")}]}],
    });
    let ask = Ask::get(format!("{}?message=w{value}", versions_of(key)))
        .with_body("POST", Bytes::from(document.to_string()));
    match parent {
        None => ask.header("if-none-match", "*"),
        Some(parent) => ask.header("if-match", format!("\"{}\"", parent.digest)),
    }
}

/// What an answer to a publication says; nothing when it is neither yes nor a conflict.
pub fn published(reply: &Reply) -> Option<(Outcome, Option<String>)> {
    if reply.status() == Some(409) {
        return Some((Outcome::Conflict, None));
    }
    let body = reply.json()?;
    let seen = Seen::Published {
        number: body["number"].as_u64()?,
        index: body["index"].as_u64()?,
    };
    Some((
        Outcome::Ok(seen),
        body["digest"].as_str().map(str::to_owned),
    ))
}

async fn publish(
    client: &Client,
    manager: usize,
    key: usize,
    parent: Option<&Version>,
) -> Option<Version> {
    let shared = &client.shared;
    let value = shared.value();
    let action = Action::Publish {
        key,
        parent: parent.map(|parent| parent.value),
        value,
        keyed: false,
    };
    let id = shared.recorder.invoke(client.id, manager, action);
    let reply = shared
        .send(manager, publication(key, value, parent), PATIENCE)
        .await;
    let (outcome, digest) = published(&reply).unwrap_or_else(|| (reply.outcome(), None));
    shared.recorder.complete(id, manager, outcome.clone());
    match (outcome, digest) {
        (Outcome::Ok(Seen::Published { number, .. }), Some(digest)) => Some(Version {
            number,
            value,
            digest,
        }),
        _ => None,
    }
}
