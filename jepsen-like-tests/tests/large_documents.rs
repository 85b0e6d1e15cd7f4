//! Documents that are too large for one log entry.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use jepsen_like_tests::{
    Gateway, Options, documents,
    http::{Answer, Ask},
    managers::write_private,
    options::sibling_bin_dir,
    stage::Stage,
    steps::{form, join},
};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const LARGE_BYTES: usize = 5 << 20;

async fn cluster(dir: &std::path::Path) -> Result<Stage> {
    let options = Options {
        gateway: Gateway::Embedded,
        nodes: 1,
        dir: dir.join("run"),
        bin_dir: sibling_bin_dir()?,
        krakend_bin: None,
    };
    let mut stage = Stage::prepare(options, None).await?;
    form::run(&mut stage).await?;
    let token = stage.api.join_token().await?;
    write_private(&stage.join_token_file(), &format!("{token}\n"))?;
    join::start_nodes(&mut stage).await?;
    Ok(stage)
}

/// A configuration with a name that does not compress.
fn large(number: u64, seed: u64, backend: &str) -> Value {
    let mut bytes = vec![0; LARGE_BYTES / 2];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut document = documents::version(number, backend);
    document["name"] = name.into();
    document
}

async fn publish(
    stage: &Stage,
    at: usize,
    document: &Value,
    (precondition, value): (&'static str, &str),
    key: &str,
) -> Result<Answer> {
    let body = Bytes::from(document.to_string());
    Ask::get("/v1/fleets/default/versions")
        .with_body("POST", body)
        .header("authorization", format!("Bearer {}", stage.api.token()))
        .header("idempotency-key", key)
        .header(precondition, value)
        .send(stage.managers[at].http, LIMIT)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_several_mebibytes_reaches_every_manager_and_the_node() -> Result<()> {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    let dir = tempfile::tempdir()?;
    let mut stage = cluster(dir.path()).await?;
    let leader = stage.until_leader(None, LIMIT).await?;
    let follower = (leader + 1) % stage.managers.len();
    let document = large(1, seed, &stage.backend.url());
    let first = ("if-none-match", "*");
    let published = publish(&stage, follower, &document, first, "one").await?;
    let published = published.ok()?.json()?;
    assert_eq!(published["number"], 1);
    let again = publish(&stage, leader, &document, first, "one").await?;
    assert_eq!(again.ok()?.json()?, published, "a retry is done once");
    let other = large(2, seed + 1, &stage.backend.url());
    let stale = publish(&stage, leader, &other, first, "two").await?;
    assert_eq!(stale.status.as_u16(), 409, "{}", stale.excerpt());
    stage.until_all_serve(1, LIMIT).await?;

    // It is on the disks of the others, too.
    stage.managers[leader].kill().await?;
    let gone = stage.managers[leader].name.clone();
    stage.until_leader(Some(&gone), LIMIT).await?;
    let read = stage.api.get("/v1/fleets/default/versions/1").await?;
    assert_eq!(read["document"], document);
    let digest = published["digest"].as_str().context("a digest")?;
    let etag = format!("\"{digest}\"");
    let next = publish(&stage, follower, &other, ("if-match", &etag), "three").await?;
    assert_eq!(next.ok()?.json()?["number"], 2);
    stage.until_all_serve(2, LIMIT).await?;
    nothing_stays_staged(&stage, follower).await
}

/// A backup has versions and no pieces of them.
async fn nothing_stays_staged(stage: &Stage, at: usize) -> Result<()> {
    let ask =
        Ask::get("/v1/snapshot").header("authorization", format!("Bearer {}", stage.api.token()));
    let backup = ask.send(stage.managers[at].http, LIMIT).await?.ok()?;
    let file = stage.options.dir.join("one.backup");
    std::fs::write(&file, &backup.body)?;
    let mut command =
        tokio::process::Command::new(stage.options.program("krakend-cluster-manager")?);
    command
        .args(["snapshot", "inspect", "--output", "json"])
        .arg(&file);
    let inspected: Value = serde_json::from_slice(&command.output().await?.stdout)?;
    let kinds = &inspected["kinds"];
    assert_eq!(kinds["versions"]["count"], 2, "{kinds}");
    assert!(kinds.get("unpublished documents").is_none(), "{kinds}");
    Ok(())
}
