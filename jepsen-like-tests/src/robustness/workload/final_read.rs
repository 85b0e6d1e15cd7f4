//! What is read when everything is healed: the whole of what the managers have, from each of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::client::{Client, PATIENCE, Reply};
use super::register::{publication, published, read, version, versions_of};
use crate::http::Ask;
use crate::robustness::checker::{Chains, Link, Listed};
use crate::robustness::history::{Action, Outcome, Seen, fleet};
use crate::wait;

/// A linearizable read on every manager, again and again until it is answered: afterwards each has applied everything that
/// was acknowledged before.
///
/// # Errors
/// One does not answer within `limit`.
pub async fn read_everywhere(client: &Client, limit: Duration) -> Result<()> {
    for manager in client.shared.members() {
        let what = format!("manager-{} answers a linearizable read", manager + 1);
        wait::until(&what, limit, async || {
            Ok(match read(client, manager, 0, false).await {
                Some(_) => wait::Seen::Yes(()),
                None => wait::Seen::No("no answer".into()),
            })
        })
        .await?;
    }
    Ok(())
}

/// The managers one after the other, as they are now.
fn in_turn(client: &Client, turn: &AtomicUsize) -> usize {
    let members = client.shared.members();
    members[turn.fetch_add(1, Ordering::SeqCst) % members.len()]
}

/// Publishes until it is taken; the log index of it.
///
/// # Errors
/// Not taken within `limit`.
pub async fn barrier_write(client: &Client, limit: Duration) -> Result<u64> {
    let turn = AtomicUsize::new(0);
    wait::until("a write is taken", limit, async || {
        let manager = in_turn(client, &turn);
        let Some(parent) = read(client, manager, 0, false).await else {
            return Ok(wait::Seen::No("no answer to a read".into()));
        };
        let value = client.shared.value();
        let action = Action::Publish {
            key: 0,
            parent: parent.as_ref().map(|parent| parent.value),
            value,
            keyed: false,
        };
        let recorder = &client.shared.recorder;
        let id = recorder.invoke(client.id, manager, action);
        let ask = publication(0, value, parent.as_ref());
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

/// The whole chain of versions of every key, oldest first, as one manager has it.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn versions(client: &Client, manager: usize) -> Result<Chains> {
    let mut chains = Vec::new();
    for key in 0..client.shared.keys {
        chains.push(versions_of_key(client, manager, key).await?);
    }
    Ok(chains)
}

async fn versions_of_key(client: &Client, manager: usize, key: usize) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(
            client,
            manager,
            &format!("{}?limit=1000{cursor}", versions_of(key)),
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

/// Makes the fleets that are keys, where they are missing.
///
/// # Errors
/// Not made within `limit`.
pub async fn make_fleets(client: &Client, limit: Duration) -> Result<()> {
    let turn = AtomicUsize::new(0);
    // The first is there from the start.
    for key in 1..client.shared.keys {
        wait::until("a fleet is made", limit, async || {
            let manager = in_turn(client, &turn);
            let ask = Ask {
                method: "PUT",
                path: format!("/v1/fleets/{}", fleet(key)),
                ..Ask::default()
            };
            let reply = client.shared.send(manager, ask, PATIENCE).await;
            Ok(match reply.status() {
                Some(200 | 201) => wait::Seen::Yes(()),
                _ => wait::Seen::No(format!("{:?}", reply.outcome())),
            })
        })
        .await?;
    }
    Ok(())
}

/// All tokens as one manager has them, by name and id.
///
/// # Errors
/// It does not answer, or with something else.
pub async fn tokens(client: &Client, manager: usize) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(client, manager, &format!("/v1/tokens?limit=1000{cursor}")).await?;
        let tokens = page["tokens"].as_array().context("no list of tokens")?;
        listed.extend(tokens.iter().map(|token| Listed {
            name: token["name"].as_str().unwrap_or_default().to_owned(),
            id: token["id"].as_str().unwrap_or_default().to_owned(),
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
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
