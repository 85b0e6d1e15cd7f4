//! Damaged files under real managers: what they say, how they end, and how they come back.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use jepsen_like_tests::{
    http::Ask,
    managers::{Manager, PORTS_EACH, write_secret},
    options::sibling_bin_dir,
    ports,
    wait::{Seen, until},
};
use serde_json::Value;

/// Three managers share two cores with whatever else is tested.
const LIMIT: Duration = Duration::from_secs(90);
const EXIT_DAMAGED: i32 = 74;

fn managers(dir: &Path, count: usize) -> Result<Vec<Manager>> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let free = ports::free(PORTS_EACH * count)?;
    let secret = dir.join("group-secret");
    write_secret(&secret)?;
    let mut managers = Vec::new();
    for (n, ports) in free.chunks_exact(PORTS_EACH).enumerate() {
        let ports = [ports[0], ports[1], ports[2]];
        managers.push(Manager::new(n + 1, dir, &program, ports)?);
    }
    let peers: Vec<_> = managers.iter().map(|it| it.managers).collect();
    for manager in &mut managers {
        manager.configure(&peers, &secret, 5)?;
        manager.start()?;
    }
    Ok(managers)
}

async fn status(manager: &Manager) -> Result<Value> {
    let token = std::fs::read_to_string(manager.admin_token())?;
    let ask = Ask::get("/v1/status?consistency=stale")
        .header("authorization", format!("Bearer {}", token.trim()));
    ask.send(manager.http, Duration::from_secs(5))
        .await?
        .ok()?
        .json()
}

async fn members(manager: &Manager) -> Result<Vec<Value>> {
    let token = std::fs::read_to_string(manager.admin_token())?;
    let ask = Ask::get("/v1/managers?consistency=stale")
        .header("authorization", format!("Bearer {}", token.trim()));
    let answer = ask.send(manager.http, Duration::from_secs(5)).await?;
    let list = answer.ok()?.json()?;
    Ok(list["managers"].as_array().cloned().unwrap_or_default())
}

async fn all_agree(managers: &[Manager]) -> Result<()> {
    for manager in managers {
        until("three voters with a leader", LIMIT, || async {
            let status = status(manager).await?;
            let good = status["voters"] == 3 && status["leader_id"].is_string();
            Ok(
                if good && manager.data_dir().join("known-managers.json").exists() {
                    Seen::Yes(())
                } else {
                    Seen::No(status.to_string())
                },
            )
        })
        .await?;
    }
    Ok(())
}

fn log_file(manager: &Manager) -> Result<PathBuf> {
    let dir = manager.data_dir().join("log/wal");
    for entry in std::fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "wal") {
            return Ok(path);
        }
    }
    bail!("no log file in {}", dir.display())
}

fn flip_a_bit(path: &Path) -> Result<()> {
    let mut content = std::fs::read(path)?;
    let middle = content.len() / 2;
    content[middle] ^= 2;
    Ok(std::fs::write(path, content)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_with_a_flipped_bit_in_its_log_takes_its_place_under_a_new_id() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut managers = managers(dir.path(), 3)?;
    all_agree(&managers).await?;
    let before = status(&managers[0]).await?;
    let old = before["answered_by"].as_str().context("an id")?.to_owned();
    managers[0].kill().await?;
    let damaged = log_file(&managers[0])?;
    flip_a_bit(&damaged)?;
    managers[0].start()?;
    let name = managers[0].name.clone();
    let new = until(
        "the damaged manager's place is exchanged",
        LIMIT,
        || async {
            let members = members(&managers[1]).await?;
            let mine = members.iter().find(|it| it["name"] == *name);
            let id = mine.and_then(|it| it["id"].as_str()).unwrap_or_default();
            let voters = members.iter().filter(|it| it["voter"] == true).count();
            Ok(if members.len() == 3 && voters == 3 && id != old {
                Seen::Yes(id.to_owned())
            } else {
                Seen::No(format!("{members:?}"))
            })
        },
    )
    .await?;
    until("it says that it kept the damaged files", LIMIT, || async {
        let status = status(&managers[0]).await?;
        let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
        let kept = alarms.iter().any(|it| it["kind"] == "damaged-files");
        let only = alarms.len() == 1;
        Ok(if status["answered_by"] == *new && kept && only {
            Seen::Yes(())
        } else {
            Seen::No(status.to_string())
        })
    })
    .await?;
    let said = std::fs::read_to_string(managers[0].log())?;
    let file = damaged.display().to_string();
    ensure!(said.contains(&file) && said.contains("record"), "{said}");
    let ready = Ask::get("/readyz").send(managers[0].http, LIMIT).await?;
    ensure!(ready.status.is_success(), "{}", ready.excerpt());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_alone_with_a_damaged_log_ends_with_74_and_says_what_to_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut managers = managers(dir.path(), 1)?;
    let manager = &mut managers[0];
    until("the admin token", LIMIT, || async {
        Ok(match manager.admin_token().exists() {
            true => Seen::Yes(()),
            false => Seen::No("no file".into()),
        })
    })
    .await?;
    manager.kill().await?;
    let damaged = log_file(manager)?;
    flip_a_bit(&damaged)?;
    let content = std::fs::read(&damaged)?;
    manager.start()?;
    let process = manager.process.as_mut().context("it was started")?;
    let ended = process.wait(LIMIT).await?;
    let said = std::fs::read_to_string(manager.log())?;
    ensure!(ended.code() == Some(EXIT_DAMAGED), "{ended}: {said}");
    for word in [
        &*damaged.display().to_string(),
        "record",
        "restore a backup",
    ] {
        ensure!(said.contains(word), "{word:?} is missing in {said}");
    }
    ensure!(std::fs::read(&damaged)? == content, "nothing was changed");
    Ok(())
}
