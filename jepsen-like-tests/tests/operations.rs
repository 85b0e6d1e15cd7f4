//! What operators do with single nodes, through any manager and through the command line, with real programs.

mod group;
mod pool;

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::wait::{Seen, until};
use pool::Pool;
use serde_json::{Value, json};

/// The command line as an operator has it, with every manager named.
fn cli(group: &Group, arguments: &[&str]) -> Result<Output> {
    let servers: Vec<_> = group
        .managers
        .iter()
        .map(|it| format!("http://{}", it.http))
        .collect();
    let mut command = Command::new(sibling_bin_dir()?.join("krakend-cluster-manager"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("KRAKEND_") {
            command.env_remove(key);
        }
    }
    command
        .args(arguments)
        .env("KRAKEND_CM_SERVER", servers.join(","))
        .env("KRAKEND_CM_TOKEN", &group.token)
        .env("XDG_CONFIG_HOME", group.dir.path());
    command.output().context("the command line")
}

fn says(group: &Group, arguments: &[&str]) -> Result<String> {
    let output = cli(group, arguments)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{arguments:?}: {} {error}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn refuses(group: &Group, arguments: &[&str], code: i32) -> Result<String> {
    let output = cli(group, arguments)?;
    ensure!(
        output.status.code() == Some(code),
        "{arguments:?} ended with {} instead of {code}: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn shown(group: &Group, at: usize, id: &str) -> Result<Value> {
    let ask = Ask::get(format!("/v1/nodes/{id}"));
    group.ask(at, ask).await?.ok()?.json()
}

async fn health(address: std::net::SocketAddr) -> Result<u16> {
    let answer = Ask::get("/__health").send(address, LIMIT).await?;
    Ok(answer.status.as_u16())
}

async fn health_is(address: std::net::SocketAddr, wanted: u16) -> Result<()> {
    until(
        &format!("the health path answers {wanted}"),
        LIMIT,
        || async {
            Ok(match health(address).await? {
                found if found == wanted => Seen::Yes(()),
                found => Seen::No(found.to_string()),
            })
        },
    )
    .await
}

async fn event(group: &Group, at: usize, kind: &str) -> Result<Value> {
    until(&format!("an event {kind}"), LIMIT, || async {
        let ask = Ask::get("/v1/events?history=true&limit=200");
        let list = group.ask(at, ask).await?.ok()?.json()?;
        let events = list["events"].as_array().context("events")?;
        Ok(match events.iter().find(|event| event["kind"] == kind) {
            Some(event) => Seen::Yes(event.clone()),
            None => Seen::No(format!("{} others", events.len())),
        })
    })
    .await
}

/// Requests one after the other until told to end; how many there were, and what went wrong.
fn traffic(
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Result<u64>> {
    tokio::spawn(async move {
        let count = AtomicU64::new(0);
        while !stop.load(Ordering::SeqCst) {
            let answer = Ask::get("/a").send(address, LIMIT).await?;
            // The backend is not there, and the gateway says so by itself.
            if matches!(answer.status.as_u16(), 404 | 503) {
                bail!("{}: {}", answer.status, answer.excerpt());
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
        Ok(count.into_inner())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_and_restarted_through_any_manager_and_stays_drained_over_failover_and_reboot()
-> Result<()> {
    let mut group = Group::start(3).await?;
    let mut pool = Pool::start(&group, 2).await?;
    pool.all_joined(LIMIT).await?;
    pool.publish(&group).await?;
    let (leader, follower) = (group.leader().await?, group.follower().await?);
    let (id, public) = (pool.id(0).to_owned(), pool.public(0));
    health_is(public, 200).await?;

    says(&group, &["nodes", "drain", "node-1"])?;
    health_is(public, 503).await?;
    pool.serves_without_health(0).await?;
    let node = shown(&group, follower, &id).await?;
    ensure!(
        node["draining_since"].is_string() && node["holds_seat"] == true,
        "{node}"
    );
    ensure!(node["state"] == "active", "{node}");
    let leads = shown(&group, leader, &id).await?;
    ensure!(
        leads["session_manager"] == group.managers[leader].name,
        "{leads}"
    );
    event(&group, follower, "node_drained").await?;
    ensure!(says(&group, &["nodes"])?.contains("active, draining"));

    // The node's own disk remembers it, and so does the next leader.
    group.kill(leader).await?;
    pool.kill(0).await?;
    pool.restart(0).await?;
    ensure!(
        health(public).await? != 200,
        "drained before any manager is asked"
    );
    pool.all_joined(LIMIT).await?;
    health_is(public, 503).await?;
    group.restart(leader)?;
    let leader = group.leader().await?;
    ensure!(shown(&group, leader, &id).await?["draining_since"].is_string());
    says(&group, &["nodes", "undrain", &id[..8]])?;
    health_is(public, 200).await?;
    let node = shown(&group, leader, &id).await?;
    ensure!(node["draining_since"].is_null(), "{node}");

    // A restart under traffic, asked of a manager that does not lead.
    let follower = group.follower().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = traffic(public, stop.clone());
    for _ in 0..5 {
        let ask = Ask::json("POST", format!("/v1/nodes/{id}/restart"), &json!({}));
        let done = group.ask(follower, ask).await?.ok()?.json()?;
        ensure!(done["node_id"] == id, "{done}");
    }
    stop.store(true, Ordering::SeqCst);
    let requests = traffic.await??;
    ensure!(requests > 0, "no request met a restart");
    let told = event(&group, follower, "gateway_restarted").await?;
    ensure!(told["subject_name"] == "node-1", "{told}");

    // Its log, through a manager that does not lead.
    let ask = Ask::get(format!("/v1/nodes/{id}/log?lines=50"));
    let log = group.ask(follower, ask).await?.ok()?.json()?;
    let lines = log["lines"].as_array().context("lines")?;
    let restarted = lines.iter().any(|line| {
        let text = line["message"].as_str().unwrap_or_default();
        line["source"] == "krakend-node" && text.contains("the gateway was restarted")
    });
    ensure!(restarted && lines.len() <= 50, "{log}");

    // A node that is not there says so, and the event as well.
    pool.kill(1).await?;
    let silent = pool.id(1).to_owned();
    until("the leader misses it", LIMIT, || async {
        let ask = Ask::json("POST", format!("/v1/nodes/{silent}/restart"), &json!({}));
        let answer = group.ask(follower, ask).await?;
        Ok(match answer.json()?["type"].as_str().unwrap_or_default() {
            kind if kind.ends_with(":node-silent") => Seen::Yes(()),
            kind => Seen::No(kind.to_owned()),
        })
    })
    .await?;
    event(&group, follower, "gateway_restart_failed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_edited_by_hand_is_shown_told_and_put_right_by_a_restart() -> Result<()> {
    let group = Group::start(1).await?;
    let pool = Pool::start(&group, 1).await?;
    pool.all_joined(LIMIT).await?;
    pool.publish(&group).await?;
    let id = pool.id(0).to_owned();
    let file = pool.stored_version(0)?;
    let original = std::fs::read(&file)?;
    let mut edited = original.clone();
    edited.push(b'\n');
    std::fs::write(&file, edited)?;
    let node = until("the drift is shown", LIMIT, || async {
        let node = shown(&group, 0, &id).await?;
        Ok(match node["drift"].is_object() {
            true => Seen::Yes(node),
            false => Seen::No(node.to_string()),
        })
    })
    .await?;
    let shown_file = node["drift"]["file"].as_str().unwrap_or_default();
    ensure!(shown_file == file.display().to_string(), "{node}");
    event(&group, 0, "drift_found").await?;
    let status = group.status(0).await?;
    let alarms = status["alarms"].as_array().context("alarms")?;
    ensure!(alarms.iter().any(|it| it["kind"] == "drift"), "{status}");
    let output = cli(&group, &["status"])?;
    ensure!(
        output.status.code() == Some(2),
        "degraded: {}",
        output.status
    );
    says(&group, &["nodes", "restart", "node-1"])?;
    event(&group, 0, "drift_gone").await?;
    ensure!(std::fs::read(&file)? == original, "written anew");
    ensure!(cli(&group, &["status"])?.status.success(), "healthy again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_finds_a_manager_names_what_was_meant_and_ends_as_it_says() -> Result<()> {
    let mut group = Group::start(3).await?;
    let pool = Pool::start(&group, 1).await?;
    pool.all_joined(LIMIT).await?;
    pool.publish(&group).await?;
    let status = until("healthy", LIMIT, || async {
        let output = cli(&group, &["status"])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(match output.status.success() {
            true => Seen::Yes(text),
            false => Seen::No(text),
        })
    })
    .await?;
    for part in [
        "healthy",
        "can lose 1 manager",
        "1 active",
        "default: v1 on 1 of 1 node",
        "Alarms     none",
    ] {
        ensure!(status.contains(part), "{part} is missing in\n{status}");
    }
    let json: Value = serde_json::from_str(&says(&group, &["status", "--output", "json"])?)?;
    ensure!(
        json["healthy"] == true && json["rollouts"][0]["applied"] == 1,
        "{json}"
    );
    let yaml = says(&group, &["nodes", "-o", "yaml"])?;
    ensure!(yaml.contains("name: node-1"), "{yaml}");
    ensure!(!yaml.contains('\x1b'), "no colours off a terminal");
    ensure!(says(&group, &["rollout"])?.contains("default: v1 on 1 of 1 node"));
    ensure!(says(&group, &["config", "wait", "1"])?.contains("v1 on 1 of 1"));
    refuses(&group, &["config", "wait", "7", "--timeout", "1s"], 4)?;

    let error = refuses(&group, &["nodes", "show", "node-2"], 1)?;
    ensure!(error.contains("did you mean node-1?"), "{error}");
    let error = refuses(&group, &["config", "list", "--fleet", "defualt"], 1)?;
    ensure!(error.contains("did you mean default?"), "{error}");
    let error = refuses(&group, &["log-level", "debgu"], 1)?;
    ensure!(error.contains("error, warn, info, debug"), "{error}");

    // Of a manager and of a node, while they run.
    says(&group, &["log-level", "debug"])?;
    ensure!(says(&group, &["log-level"])?.trim() == "debug");
    ensure!(says(&group, &["log-level", "debug", "--node", "node-1"])?.contains("debug"));
    ensure!(says(&group, &["log", "-n", "20"])?.contains("set the log level to debug"));

    // One manager is down: the others are tried, and the status says so.
    group.kill(0).await?;
    // The killed one may have led: for a moment there is nobody else.
    until("degraded by one manager", LIMIT, || async {
        let output = cli(&group, &["status"])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = text.contains("1 manager of 3 does not answer");
        Ok(match (output.status.code(), said) {
            (Some(2), true) => Seen::Yes(()),
            (code, _) => Seen::No(format!("{code:?}: {text}")),
        })
    })
    .await?;
    for at in 1..3 {
        group.kill(at).await?;
    }
    let error = refuses(&group, &["status"], 1)?;
    ensure!(error.matches("does not answer").count() == 3, "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debug_bundle_has_everything_but_secrets() -> Result<()> {
    const PASSWORD: &str = "hunter2-Backend-Passw0rd";
    let group = Group::start(3).await?;
    let pool = Pool::start(&group, 1).await?;
    pool.all_joined(LIMIT).await?;
    let document = format!(
        r#"{{"version": 3, "endpoints": [{{"endpoint": "/a", "backend": [
            {{"url_pattern": "/b", "host": ["http://user:{PASSWORD}@127.0.0.1:8000"]}}]}}]}}"#
    );
    let ask = Ask::get("/v1/fleets/default/versions").with_body("POST", document.into());
    // Taken or refused: either way it went through the managers.
    let _ = group.ask(0, ask.header("if-none-match", "*")).await?;
    let made = says(&group, &["token", "create", "somebody", "--role", "viewer"])?;
    let license = license(&group)?;
    let settings = group.dir.path().join("leaky.yml");
    std::fs::write(
        &settings,
        format!("name: x\npassword: {PASSWORD}\ntoken: {}\n", group.token),
    )?;
    let file = group.dir.path().join("bundle.tar.gz");
    let (path, settings) = (file.display().to_string(), settings.display().to_string());
    let said = says(
        &group,
        &["debug", "bundle", &path, "--settings-file", &settings],
    )?;
    let names = Command::new("tar").args(["-tzf", &path]).output()?;
    let names = String::from_utf8(names.stdout)?;
    for part in [
        "about.json",
        "managers/manager-1/status.json",
        "managers/manager-2/metrics.txt",
        "managers/manager-3/log.txt",
        "nodes/node-1-",
        "fleets/default-versions.json",
        "settings/leaky.yml",
    ] {
        ensure!(
            names.contains(part),
            "{part} is missing in\n{names}\n{said}"
        );
    }
    let all = Command::new("tar").args(["-xzOf", &path]).output()?;
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    ensure!(
        all.contains("leader_name") && all.len() > 10_000,
        "it has content"
    );
    let mut secrets = vec![
        group.token.clone(),
        made.trim().to_owned(),
        license,
        PASSWORD.to_owned(),
    ];
    for name in ["group-secret", "nodes/join-token"] {
        let text = std::fs::read_to_string(group.dir.path().join(name))?;
        secrets.extend(text.lines().map(|line| line.trim().to_owned()));
    }
    for secret in secrets.iter().filter(|it| it.len() > 8) {
        ensure!(
            !all.contains(secret.as_str()),
            "{}… is in the bundle",
            &secret[..6]
        );
    }
    ensure!(!all.contains("PRIVATE KEY"), "a key is in the bundle");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&file)?.permissions().mode();
    ensure!(mode & 0o077 == 0, "others may read it: {mode:o}");
    Ok(())
}

/// Issued and installed, as an operator does it.
fn license(group: &Group) -> Result<String> {
    let secret = group.dir.path().join("group-secret").display().to_string();
    let arguments = [
        "license",
        "issue",
        "--subscriber",
        "Acme",
        "--max-nodes",
        "9",
        "--secret-file",
        &secret,
    ];
    let license = says(group, &arguments)?.trim().to_owned();
    let file = group.dir.path().join("acme.licence");
    std::fs::write(&file, &license)?;
    says(group, &["license", "install", &file.display().to_string()])?;
    Ok(license)
}
