//! A real manager whose clock goes wrong while it leads.

mod common;
mod group;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::{
    http::Ask,
    wait::{Seen, until},
};
use serde_json::json;

use group::{Group, LIMIT};

const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

fn library() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|it| Path::new(it).exists())
}

/// Runs the program under a wall clock that a file moves; the monotonic one stays.
fn wrap(library: &str, home: &Path, program: &Path) -> Result<PathBuf> {
    let script = home.join("run");
    std::fs::write(offset_file(home), "+0\n")?;
    let text = format!(
        "#!/bin/sh\nexport LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1\nexec {} \"$@\"\n",
        offset_file(home).display(),
        program.display()
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

fn offset_file(home: &Path) -> PathBuf {
    home.join("clock")
}

/// A rename, so that the program never reads half of it.
fn set_clock(group: &Group, at: usize, offset: &str) -> Result<()> {
    let file = offset_file(&group.managers[at].dir);
    let part = file.with_extension("new");
    std::fs::write(&part, format!("{offset}\n"))?;
    std::fs::rename(part, file).context("set the clock")
}

async fn alarm(group: &Group, at: usize, kind: &str, name: &str) -> Result<()> {
    until("the alarm that names the manager", LIMIT, || async {
        let status = group.status(at).await?;
        let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
        let told = alarms.iter().any(|alarm| {
            alarm["kind"] == kind
                && alarm["message"]
                    .as_str()
                    .is_some_and(|it| it.contains(name))
        });
        Ok(match told {
            true => Seen::Yes(()),
            false => Seen::No(status["alarms"].to_string()),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_a_year_ahead_writes_nothing_hands_on_and_is_named() -> Result<()> {
    let Some(library) = library() else {
        common::skip("libfaketime is not installed");
        return Ok(());
    };
    let group = Group::start_with(3, |home, program| wrap(library, home, program)).await?;
    let wrong = group.leader().await?;
    let name = group.managers[wrong].name.clone();
    set_clock(&group, wrong, "+365d")?;
    until("another leader", LIMIT, || async {
        let leader = group.leader().await?;
        Ok(match leader != wrong {
            true => Seen::Yes(leader),
            false => Seen::No("the same one".into()),
        })
    })
    .await?;
    let body = json!({ "name": "robot", "role": "viewer", "ttl_s": 600 });
    let ask = Ask::json("POST", "/v1/tokens", &body);
    group.ask((wrong + 1) % 3, ask).await?.ok()?;
    for at in 0..3 {
        alarm(&group, at, "clock-off", &name).await?;
        // Its tokens are good on every manager, also on the one with the wrong clock.
        let clock = group.ask(at, Ask::get("/v1/clock")).await?.ok()?.json()?;
        ensure!(clock["hold"].is_null(), "{clock}");
        let shown = clock["managers"].as_array().context("managers")?;
        let off: Vec<_> = shown.iter().filter(|it| it["off"] == true).collect();
        ensure!(off.len() == 1 && off[0]["name"] == name.as_str(), "{clock}");
    }
    set_clock(&group, wrong, "+0")?;
    until("the alarm goes when the clock is right", LIMIT, || async {
        let status = group.status((wrong + 1) % 3).await?;
        Ok(
            match status["alarms"].as_array().is_some_and(Vec::is_empty) {
                true => Seen::Yes(()),
                false => Seen::No(status["alarms"].to_string()),
            },
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_manager_holds_a_jump_until_an_operator_speaks() -> Result<()> {
    let Some(library) = library() else {
        common::skip("libfaketime is not installed");
        return Ok(());
    };
    let group = Group::start_with(1, |home, program| wrap(library, home, program)).await?;
    set_clock(&group, 0, "+365d")?;
    let body = json!({ "name": "robot", "role": "viewer", "ttl_s": 600 });
    group
        .ask(0, Ask::json("POST", "/v1/tokens", &body))
        .await?
        .ok()?;
    alarm(&group, 0, "clock-held", "manager-1").await?;
    let clock = group.ask(0, Ask::get("/v1/clock")).await?.ok()?.json()?;
    ensure!(clock["hold"]["manager_name"] == "manager-1", "{clock}");
    set_clock(&group, 0, "+0")?;
    let post = |path: &str| Ask::json("POST", path, &json!({}));
    group.ask(0, post("/v1/clock/reset")).await?.ok()?;
    let clock = group.ask(0, Ask::get("/v1/clock")).await?.ok()?.json()?;
    ensure!(clock["hold"].is_null(), "{clock}");
    let again = group.ask(0, post("/v1/clock/confirm")).await?;
    group::problem(&again, 409, "clock-not-held")?;
    let events = group
        .ask(0, Ask::get("/v1/events?history=true"))
        .await?
        .ok()?;
    let text = String::from_utf8_lossy(&events.body).into_owned();
    ensure!(
        text.contains("clock_held") && text.contains("admin reset the clock"),
        "{text}"
    );
    Ok(())
}
