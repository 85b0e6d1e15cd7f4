//! What is read when everything is healed: the whole of what the managers have, from each of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::client::{Client, PATIENCE, Reply};
use super::register::{publication, published, read, version};
use crate::http::Ask;
use crate::robustness::checker::{Link, Listed};
use crate::robustness::history::{Action, Outcome, Seen};
use crate::wait;

/// A linearizable read on every manager, again and again until it is answered: afterwards each has applied everything that
/// was acknowledged before.
///
/// # Errors
/// One does not answer within `limit`.
pub async fn read_everywhere(client: &Client, limit: Duration) -> Result<()> {
    for manager in 0..client.shared.servers.len() {
        let what = format!("manager-{} answers a linearizable read", manager + 1);
        wait::until(&what, limit, async || {
            Ok(match read(client, manager, false).await {
                Some(_) => wait::Seen::Yes(()),
                None => wait::Seen::No("no answer".into()),
            })
        })
        .await?;
    }
    Ok(())
}

/// Publishes until it is taken; the log index of it.
///
/// # Errors
/// Not taken within `limit`.
pub async fn barrier_write(client: &Client, limit: Duration) -> Result<u64> {
    let servers = client.shared.servers.len();
    let turn = AtomicUsize::new(0);
    wait::until("a write is taken", limit, async || {
        let manager = turn.fetch_add(1, Ordering::SeqCst) % servers;
        let Some(parent) = read(client, manager, false).await else {
            return Ok(wait::Seen::No("no answer to a read".into()));
        };
        let value = client.shared.value();
        let action = Action::Publish {
            parent: parent.as_ref().map(|parent| parent.value),
            value,
            keyed: false,
        };
        let recorder = &client.shared.recorder;
        let id = recorder.invoke(client.id, manager, action);
        let ask = publication(value, parent.as_ref());
        let reply = client.shared.send(manager, ask, PATIENCE).await;
        let (outcome, _) = published(&reply).unwrap_or_else(|| (reply.outcome(), None));
        recorder.complete(id, manager, outcome.clone());
        Ok(match outcome {
            Outcome::Ok(Seen::Published { index, .. }) => wait::Seen::Yes(index),
            other => wait::Seen::No(format!("{other:?}")),
        })
    })
    .await
}

/// The whole chain of versions, oldest first, as one manager has it.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn versions(client: &Client, manager: usize) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(
            client,
            manager,
            &format!("/v1/fleets/default/versions?limit=1000{cursor}"),
        )
        .await?;
        for listed in page["versions"].as_array().context("no list of versions")? {
            let version = version(listed).context("a version that is none of ours")?;
            links.push(Link {
                number: version.number,
                value: version.value,
                digest: version.digest,
                parent: listed["parent"].as_str().map(str::to_owned),
            });
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    links.reverse();
    Ok(links)
}

/// All tokens as one manager has them, by name and id.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn tokens(client: &Client, manager: usize) -> Result<Vec<Listed>> {
    let list = get(client, manager, "/v1/tokens").await?;
    let tokens = list["tokens"].as_array().context("no list of tokens")?;
    let mut listed: Vec<_> = tokens
        .iter()
        .map(|token| Listed {
            name: token["name"].as_str().unwrap_or_default().to_owned(),
            id: token["id"].as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    listed.sort();
    Ok(listed)
}

async fn get(client: &Client, manager: usize, path: &str) -> Result<Value> {
    let reply = client
        .shared
        .send(manager, Ask::get(path), 4 * PATIENCE)
        .await;
    match (reply.json(), &reply) {
        (Some(body), _) => Ok(body),
        (None, Reply::Answer(answer)) => bail!("{path} was answered {}", answer.status),
        (None, other) => bail!("{path}: {other:?}"),
    }
}
