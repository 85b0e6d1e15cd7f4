//! The gossip key is exchanged under traffic, with the operator's command line; a node that was away comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::{
    Gateway, Options,
    http::Ask,
    options::sibling_bin_dir,
    stage::Stage,
    steps::{form, join, publish_first},
    wait::{Seen, until},
};
use serde_json::Value;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// What `keyring ARGUMENTS` printed; its error text where it was refused.
async fn keyring(stage: &Stage, arguments: &[&str]) -> Result<Result<String, String>> {
    let leader = stage.until_leader(None, LIMIT).await?;
    let server = format!("http://{}", stage.managers[leader].http);
    let output = Command::new(stage.options.program("krakend-cluster-manager")?)
        .arg("keyring")
        .args(arguments)
        .env("KRAKEND_CM_SERVER", server)
        .env("KRAKEND_CM_TOKEN", stage.api.token())
        .output()
        .await
        .context("run `krakend-cluster-manager keyring`")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    })
}

async fn done(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let answer = keyring(stage, arguments).await?;
    answer.map_err(|error| anyhow::anyhow!("keyring {arguments:?}: {error}"))
}

/// Waits until the leader's own gossip says that so many nodes and the other two managers are alive. Whoever has
/// another key is not.
async fn until_gossip_has(stage: &Stage, nodes: usize) -> Result<()> {
    let wanted = format!("gossip_members_alive {}", nodes + 2);
    until(&wanted, LIMIT, || async {
        let leader = stage.until_leader(None, LIMIT).await?;
        let bearer = format!("Bearer {}", stage.api.token());
        let ask = Ask::get("/metrics").header("authorization", bearer);
        let answer = ask.send(stage.managers[leader].http, LIMIT).await?.ok()?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut lines = text.lines().filter(|line| line.contains("gossip_members"));
        Ok(match lines.any(|line| line.ends_with(&wanted)) {
            true => Seen::Yes(()),
            false => Seen::No(lines.collect::<Vec<_>>().join("; ")),
        })
    })
    .await
}

async fn status(stage: &Stage) -> Result<Value> {
    stage.api.get("/v1/keyring").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_exchanged_under_traffic_and_a_node_that_was_away_comes_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = Options {
        gateway: Gateway::Embedded,
        nodes: 3,
        dir: dir.path().join("run"),
        bin_dir: sibling_bin_dir()?,
        krakend_bin: None,
    };
    let mut stage = Stage::prepare(options, None).await?;
    form::run(&mut stage).await?;
    join::run(&mut stage).await?;
    publish_first::run(&mut stage).await?;
    let serving = stage.nodes[0].target.clone();
    stage.traffic.add(serving);
    until_gossip_has(&stage, 3).await?;
    let failed = stage.ledger.failed_requests();
    ensure!(status(&stage).await?["in_use"] == "initial");

    // One node is away for the whole exchange; the keys before and after have none in common.
    stage.nodes[2].process()?.kill().await?;
    stage.until_node_is(2, "unreachable", LIMIT).await?;
    let installed = done(&stage, &["install", "--encrypt"]).await?;
    let mut words = installed.split(|c: char| !c.is_ascii_hexdigit());
    let key = words.find(|word| word.len() == 16);
    let key = key.context("an id in the answer of install")?.to_owned();
    let early = keyring(&stage, &["remove", "initial", "--wait", "0"]).await?;
    ensure!(early.is_err_and(|text| text.contains("in use")));
    done(&stage, &["use", &key]).await?;

    // The leader ends in the middle.
    let leader = stage.until_leader(None, LIMIT).await?;
    let killed = stage.managers[leader].name.clone();
    stage.managers[leader].kill().await?;
    stage.until_leader(Some(&killed), LIMIT).await?;
    done(&stage, &["remove", "initial"]).await?;
    stage.managers[leader].start()?;
    let now = status(&stage).await?;
    ensure!(
        now["in_use"] == key.as_str() && now["keys"].as_array().is_some_and(|it| it.len() == 1)
    );
    until_gossip_has(&stage, 2).await?;

    stage.nodes[2].start()?;
    stage.until_node_is(2, "active", LIMIT).await?;
    until_gossip_has(&stage, 3).await?;
    let listed = done(&stage, &["list"]).await?;
    ensure!(
        listed.contains(&key) && !listed.contains("initial"),
        "{listed}"
    );
    stage.no_failures_since(failed)
}
