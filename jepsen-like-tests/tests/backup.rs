//! The drills that an operator should have done once: restore a backup, recover a lost quorum.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use jepsen_like_tests::{
    Gateway, Options, documents,
    http::Ask,
    managers::{Manager, write_private},
    options::sibling_bin_dir,
    stage::Stage,
    steps::{form, join},
    wait::{Seen, until},
};
use serde_json::{Value, json};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

/// Three managers, a licence, one node, and two versions that it serves.
async fn cluster(dir: &Path) -> Result<Stage> {
    let options = Options {
        gateway: Gateway::Embedded,
        nodes: 1,
        dir: dir.join("run"),
        bin_dir: sibling_bin_dir()?,
        krakend_bin: None,
    };
    let mut stage = Stage::prepare(options, None).await?;
    form::run(&mut stage).await?;
    stage.license(7).await?;
    let token = stage.api.join_token().await?;
    write_private(&stage.join_token_file(), &format!("{token}\n"))?;
    join::start_nodes(&mut stage).await?;
    publish(&mut stage, 1).await?;
    publish(&mut stage, 2).await?;
    Ok(stage)
}

/// Publishes a version, whose number must be `number`, and waits until the node serves it.
async fn publish(stage: &mut Stage, number: u64) -> Result<()> {
    let list = stage.api.get("/v1/fleets/default/versions").await?;
    let parent = list["versions"][0]["digest"].as_str().map(str::to_owned);
    let document = documents::version(number, &stage.backend.url());
    let published = stage
        .api
        .publish(&document, parent.as_deref(), LIMIT)
        .await?;
    ensure!(published.number == number, "published {published:?}");
    stage.until_all_serve(number, LIMIT).await
}

/// Runs the manager's command line to its end: whether it ended well, standard output, standard error.
async fn run(stage: &Stage, arguments: &[&str]) -> Result<(bool, String, String)> {
    let mut command = Command::new(stage.options.program("krakend-cluster-manager")?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .with_context(|| format!("{arguments:?} goes on"))??;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    ))
}

async fn done(stage: &Stage, arguments: &[&str]) -> Result<String> {
    match run(stage, arguments).await? {
        (true, out, _) => Ok(out),
        (false, out, error) => bail!("{arguments:?} failed: {out}{error}"),
    }
}

/// What was not done, in its own words.
async fn refused(stage: &Stage, arguments: &[&str], word: &str) -> Result<()> {
    let (well, out, error) = run(stage, arguments).await?;
    ensure!(!well, "{arguments:?} was done: {out}");
    ensure!(error.contains(word), "{word:?} is missing in: {error}");
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path")
}

/// What must be the same before and after: versions with digest and author, tokens, licence.
async fn kept(stage: &Stage) -> Result<Value> {
    let versions = stage.api.get("/v1/fleets/default/versions").await?;
    let tokens = stage.api.get("/v1/tokens").await?;
    let license = stage.api.get("/v1/license").await?;
    Ok(json!({
        "versions": versions["versions"],
        "tokens": tokens["tokens"],
        "subscriber": license["subscriber"],
        "max_nodes": license["max_nodes"],
        "expires_at": license["expires_at"],
    }))
}

async fn group_id(stage: &Stage) -> Result<String> {
    let status = stage.api.get("/v1/status").await?;
    Ok(status["group_id"].as_str().context("a group")?.to_owned())
}

/// Starts a manager and waits until the group that it is in takes writes.
async fn start(stage: &mut Stage, index: usize) -> Result<()> {
    stage.managers[index].start()?;
    stage.until_leader(None, LIMIT).await.map(drop)
}

/// A manager with the addresses of `like` and a directory of its own.
fn instead_of(like: &Manager, number: usize, dir: &Path, program: &Path) -> Result<Manager> {
    let ports = [like.http, like.nodes, like.managers].map(|address| address.port());
    Manager::new(number, dir, program, ports)
}

/// Waits until one manager has these versions itself: the only one left must not be a follower that is behind.
async fn has_versions(stage: &Stage, index: usize, wanted: usize) -> Result<()> {
    let (api, server) = (&stage.api, stage.managers[index].http);
    until("the manager has every version", LIMIT, || async {
        let path = "/v1/fleets/default/versions?consistency=stale";
        let list = api.get_from(server, path).await?;
        let count = list["versions"].as_array().map_or(0, Vec::len);
        Ok(if count == wanted {
            Seen::Yes(())
        } else {
            Seen::No(list.to_string())
        })
    })
    .await
}

async fn the_admins_token_goes_on(manager: &Manager, token: &str) -> Result<()> {
    until(
        "the admin's token is in the new directory",
        LIMIT,
        || async {
            let found = std::fs::read_to_string(manager.admin_token())?;
            Ok(if found.trim() == token {
                Seen::Yes(())
            } else {
                Seen::No("another one".into())
            })
        },
    )
    .await
}

async fn has_event(stage: &Stage, kind: &str, word: &str) -> Result<()> {
    let events = stage.api.get("/v1/events?history=true&limit=100").await?;
    let found = events["events"].as_array().into_iter().flatten();
    let found = found
        .filter(|event| event["kind"] == kind)
        .any(|event| event["message"].as_str().unwrap_or_default().contains(word));
    ensure!(found, "no event {kind} with {word:?} in {events}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_the_cluster_again_and_nodes_obey_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut stage = cluster(dir.path()).await?;
    let viewer = json!({"name": "watcher", "role": "viewer"});
    let viewer = Ask::json("POST", "/v1/tokens", &viewer);
    let viewer = stage.api.write(viewer, LIMIT).await?.json()?;
    let before = kept(&stage).await?;
    let old_group = group_id(&stage).await?;
    let file = save(&stage, dir.path(), &old_group).await?;
    only_the_admin_saves(&stage, &viewer).await?;

    // The node goes on to a version that the backup does not have.
    publish(&mut stage, 3).await?;
    for manager in &mut stage.managers {
        manager.kill().await?;
    }
    restore(&mut stage, dir.path(), &file, (4, None)).await?;
    assert_eq!(kept(&stage).await?, before);
    assert_ne!(group_id(&stage).await?, old_group);
    the_admins_token_goes_on(&stage.managers[0], stage.api.token()).await?;
    has_event(&stage, "group_restored", &old_group).await?;
    stage.until_all_serve(2, LIMIT).await?;
    publish(&mut stage, 3).await?;
    publish(&mut stage, 4).await?;
    let status = stage.api.get("/v1/status").await?;
    assert_eq!(status["epoch"], 2);
    an_epoch_that_nodes_know_is_noticed(&mut stage, dir.path(), &file).await?;
    an_old_member_joins_empty(&mut stage, 1, &old_group).await
}

/// Saves a backup, verifies it, and sees that it is not replaced unasked.
async fn save(stage: &Stage, dir: &Path, group: &str) -> Result<PathBuf> {
    let file = dir.join("cluster.backup");
    let server = format!("http://{}", stage.managers[1].http);
    let token = stage.managers[1].admin_token();
    let arguments = [
        "snapshot",
        "save",
        text(&file)?,
        "--server",
        &server,
        "--token-file",
        text(&token)?,
    ];
    done(stage, &arguments).await?;
    refused(stage, &arguments, "--force").await?;
    done(stage, &[&arguments[..], &["--force"]].concat()).await?;
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&file)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let inspected = done(
        stage,
        &["snapshot", "inspect", text(&file)?, "--output", "json"],
    )
    .await?;
    let inspected: Value = serde_json::from_str(&inspected)?;
    assert_eq!(inspected["group_id"], group);
    assert_eq!(inspected["epoch"], 1);
    for (kind, count) in [
        ("versions", 2),
        ("nodes", 1),
        ("tokens", 2),
        ("licences", 1),
    ] {
        assert_eq!(inspected["kinds"][kind]["count"], count, "{kind}");
    }
    assert_eq!(inspected["max_nodes"], 7);
    let table = done(stage, &["snapshot", "inspect", text(&file)?]).await?;
    assert!(
        table.contains(group) && table.contains("verified"),
        "{table}"
    );
    damaged_files_are_refused(stage, dir, &file).await?;
    Ok(file)
}

async fn damaged_files_are_refused(stage: &Stage, dir: &Path, file: &Path) -> Result<()> {
    let content = std::fs::read(file)?;
    let wrong = dir.join("wrong.backup");
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 1;
    for (content, word) in [
        (&content[..content.len() - 1], "incomplete"),
        (&flipped[..], "damaged"),
        (&b"{}"[..], "no backup"),
    ] {
        std::fs::write(&wrong, content)?;
        refused(stage, &["snapshot", "inspect", text(&wrong)?], word).await?;
        let target = dir.join("never");
        let into = ["--data-dir", text(&target)?];
        let restore = ["snapshot", "restore", text(&wrong)?];
        refused(stage, &[&restore[..], &into[..]].concat(), word).await?;
        assert!(!target.exists());
    }
    Ok(())
}

async fn only_the_admin_saves(stage: &Stage, viewer: &Value) -> Result<()> {
    let bearer = format!("Bearer {}", viewer["token"].as_str().context("a token")?);
    let ask = Ask::get("/v1/snapshot").header("authorization", bearer);
    let answer = ask.send(stage.managers[0].http, LIMIT).await?;
    assert_eq!(answer.status.as_u16(), 403, "{}", answer.excerpt());
    Ok(())
}

/// The same backup once more gives an epoch that the node has obeyed already.
async fn an_epoch_that_nodes_know_is_noticed(
    stage: &mut Stage,
    dir: &Path,
    file: &Path,
) -> Result<()> {
    stage.managers[0].kill().await?;
    restore(stage, dir, file, (5, None)).await?;
    let api = &stage.api;
    until(
        "an alarm says that nodes ignore this group",
        LIMIT,
        || async {
            let alarms = api.get("/v1/status").await?["alarms"].clone();
            let mut all = alarms.as_array().into_iter().flatten();
            let found = all.find(|alarm| alarm["kind"] == "epoch-behind");
            let advice =
                found.is_some_and(|alarm| alarm["message"].to_string().contains("--epoch 3"));
            Ok(if advice {
                Seen::Yes(())
            } else {
                Seen::No(alarms.to_string())
            })
        },
    )
    .await?;
    stage.until_serves(&stage.nodes[0].target, 4, LIMIT).await?;
    stage.managers[0].kill().await?;
    restore(stage, dir, file, (6, Some("3"))).await?;
    stage.until_all_serve(2, LIMIT).await
}

/// Another manager, in a fresh directory, takes over the first one's addresses.
async fn restore(
    stage: &mut Stage,
    dir: &Path,
    file: &Path,
    (number, epoch): (usize, Option<&str>),
) -> Result<()> {
    let program = stage.options.program("krakend-cluster-manager")?;
    let fresh = instead_of(&stage.managers[0], number, dir, &program)?;
    let secret = stage.options.dir.join("group-secret");
    fresh.configure(&[fresh.managers], &secret, 5)?;
    let settings = fresh.settings();
    let mut arguments = vec![
        "snapshot",
        "restore",
        text(file)?,
        "--settings",
        text(&settings)?,
    ];
    arguments.extend(epoch.iter().flat_map(|epoch| ["--epoch", epoch]));
    let said = done(stage, &arguments).await?;
    let wanted = format!("epoch {}", epoch.unwrap_or("2"));
    assert!(said.contains(&wanted), "{said}");
    refused(stage, &arguments, "empty directory").await?;
    stage.managers[0] = fresh;
    start(stage, 0).await
}

/// Refused by name with its old directory, taken in with an empty one.
async fn an_old_member_joins_empty(stage: &mut Stage, index: usize, old_group: &str) -> Result<()> {
    let secret = stage.options.dir.join("group-secret");
    let peers = [stage.managers[0].managers, stage.managers[index].managers];
    let old = &mut stage.managers[index];
    old.configure(&peers, &secret, 5)?;
    old.start()?;
    let process = old.process.as_mut().context("started")?;
    let ended = process.wait(LIMIT).await?;
    assert_eq!(ended.code(), Some(1));
    let log = std::fs::read_to_string(old.log())?;
    let said = format!("belongs to group {old_group}");
    ensure!(log.contains(&said), "{said:?} is not in {log}");
    std::fs::rename(old.data_dir(), old.dir.join("data-before"))?;
    old.start()?;
    let api = &stage.api;
    until(
        "the manager joins with an empty directory",
        LIMIT,
        || async {
            let list = api.get("/v1/managers").await?;
            let all = list["managers"].as_array().cloned().unwrap_or_default();
            let voters = all.iter().filter(|one| one["voter"] == true).count();
            Ok(match voters {
                2 => Seen::Yes(()),
                _ => Seen::No(list.to_string()),
            })
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_quorum_is_recovered_from_one_manager_and_nodes_obey_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut stage = cluster(dir.path()).await?;
    let before = kept(&stage).await?;
    let old_group = group_id(&stage).await?;
    let settings = stage.managers[0].settings();
    let recover = ["recover", "--settings", text(&settings)?];
    let dry_run = [&recover[..], &["--dry-run"]].concat();
    refused(&stage, &dry_run, "in use by another process").await?;
    has_versions(&stage, 0, 2).await?;
    for manager in &mut stage.managers {
        manager.kill().await?;
    }
    let plan = done(&stage, &dry_run).await?;
    for word in [&*old_group, "manager-2", "manager-3", "Nothing was changed"] {
        assert!(plan.contains(word), "{word:?} is missing in: {plan}");
    }
    let as_json = [&dry_run[..], &["--output", "json"]].concat();
    let plan: Value = serde_json::from_str(&done(&stage, &as_json).await?)?;
    assert_eq!(plan["dropped"].as_array().map(Vec::len), Some(2));
    assert_eq!(plan["changed"], false);
    refused(&stage, &recover, "--group-id").await?;
    let stranger = ["--group-id", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"];
    let other = [&recover[..], &stranger].concat();
    refused(&stage, &other, &old_group).await?;
    let right = [&recover[..], &["--group-id", &old_group]].concat();
    let said = done(&stage, &right).await?;
    assert!(
        said.contains("epoch 2") && said.contains("replaced-"),
        "{said}"
    );

    start(&mut stage, 0).await?;
    assert_eq!(kept(&stage).await?, before);
    has_event(&stage, "group_recovered", "manager-2, manager-3").await?;
    publish(&mut stage, 3).await?;
    an_old_member_joins_empty(&mut stage, 2, &old_group).await?;
    publish(&mut stage, 4).await?;
    a_member_makes_no_new_secret(&mut stage).await
}

/// Another secret would be another certificate authority, which no node trusts.
async fn a_member_makes_no_new_secret(stage: &mut Stage) -> Result<()> {
    let secret = stage.options.dir.join("group-secret");
    std::fs::rename(&secret, secret.with_extension("away"))?;
    let manager = &mut stage.managers[0];
    manager.kill().await?;
    manager.start()?;
    let process = manager.process.as_mut().context("started")?;
    let ended = process.wait(LIMIT).await?;
    assert_eq!(ended.code(), Some(78));
    let log = std::fs::read_to_string(manager.log())?;
    ensure!(log.contains("belongs to a group: copy"), "{log}");
    ensure!(!secret.exists(), "a new secret was made");
    Ok(())
}
