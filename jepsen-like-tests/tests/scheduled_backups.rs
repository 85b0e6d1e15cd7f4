//! Backups that the managers write by themselves.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use jepsen_like_tests::{
    Gateway, Options,
    http::Ask,
    options::sibling_bin_dir,
    stage::Stage,
    steps::form,
    wait::{Seen, until},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const KEEP: usize = 3;

/// Three managers, each with a directory for backups of its own.
async fn cluster(dir: &Path) -> Result<Stage> {
    let options = Options {
        gateway: Gateway::Embedded,
        nodes: 1,
        dir: dir.join("run"),
        bin_dir: sibling_bin_dir()?,
        krakend_bin: None,
    };
    let mut stage = Stage::prepare(options, None).await?;
    for manager in &stage.managers {
        let backups = manager.dir.join("backups");
        std::fs::create_dir(&backups)?;
        let file = manager.settings();
        let mut text = std::fs::read_to_string(&file)?;
        text.push_str(&format!(
            "backup_dir: {}\nbackup_every: 1s\nbackup_keep: {KEEP}\n",
            backups.display()
        ));
        std::fs::write(file, text)?;
    }
    form::run(&mut stage).await?;
    Ok(stage)
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Waits until a directory holds exactly what is to be kept, and not the same as in `before`.
async fn full(dir: &Path, before: &[String]) -> Result<Vec<String>> {
    until("the newest backups are there", LIMIT, || async {
        let names = names(dir)?;
        let settled = names.len() == KEEP && names.iter().all(|name| name.ends_with(".backup"));
        Ok(if settled && names != before {
            Seen::Yes(names)
        } else {
            Seen::No(format!("{names:?}"))
        })
    })
    .await
}

/// Waits until the status shows an alarm of this kind, or none.
async fn alarm(stage: &Stage, wanted: Option<&str>) -> Result<Value> {
    until(&format!("the alarm {wanted:?}"), LIMIT, || async {
        let status = stage.api.get("/v1/status").await?;
        let found = status["alarms"].as_array().cloned().unwrap_or_default();
        let found = found.into_iter().find(|alarm| {
            let kind = alarm["kind"].as_str().unwrap_or_default();
            kind.starts_with("backup-")
        });
        let kind = found.as_ref().and_then(|alarm| alarm["kind"].as_str());
        Ok(if kind == wanted {
            Seen::Yes(found.unwrap_or_default())
        } else {
            Seen::No(format!("{found:?}"))
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_writes_backups_keeps_the_newest_and_says_when_it_cannot() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut stage = cluster(dir.path()).await?;
    let first = stage.until_leader(None, LIMIT).await?;
    let backups: PathBuf = stage.managers[first].dir.join("backups");
    let names = full(&backups, &[]).await?;
    let later = full(&backups, &names).await?;
    assert!(names[0] < later[0], "{names:?} {later:?}");
    is_readable(&stage, &backups).await?;
    let status = stage.api.get("/v1/status").await?;
    assert_eq!(status["last_backup"]["manager"], stage.managers[first].name);

    std::fs::rename(&backups, backups.with_extension("away"))?;
    let failing = alarm(&stage, Some("backup-failing")).await?;
    let said = failing["message"].as_str().unwrap_or_default();
    assert!(said.contains("backups is no directory"), "{said}");
    let log = std::fs::read_to_string(stage.managers[first].log())?;
    assert!(log.contains("no backup was written"));
    let metrics =
        Ask::get("/metrics").header("authorization", format!("Bearer {}", stage.api.token()));
    let metrics = metrics
        .send(stage.managers[first].http, LIMIT)
        .await?
        .ok()?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        metrics.contains("krakend_cluster_backup_failing 1"),
        "{metrics}"
    );
    std::fs::rename(backups.with_extension("away"), &backups)?;
    alarm(&stage, None).await?;

    let name = stage.managers[first].name.clone();
    stage.managers[first].kill().await?;
    let second = stage.until_leader(Some(&name), LIMIT).await?;
    let elsewhere = stage.managers[second].dir.join("backups");
    full(&elsewhere, &[]).await.map(drop)
}

async fn is_readable(stage: &Stage, dir: &Path) -> Result<()> {
    let program = stage.options.program("krakend-cluster-manager")?;
    // A busy machine may take longer to read one than the managers take to replace it.
    until("the newest backup is read", LIMIT, || async {
        let newest = names(dir)?.pop().context("a backup")?;
        let mut command = tokio::process::Command::new(&program);
        command.args(["snapshot", "inspect"]).arg(dir.join(newest));
        let output = command.output().await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(if output.status.success() && said.contains("verified") {
            Seen::Yes(())
        } else {
            Seen::No(said)
        })
    })
    .await
}
