//! How this manager stays reachable when addresses change: while there is no leader, or the membership has an old
//! address, it tells every address that it knows where it is.

use std::{net::SocketAddr, path::Path, time::Duration};

use krakend_gossip::Role;

use crate::app::App;

const STEP: Duration = Duration::from_secs(1);
/// Steps between two looks at whom gossip knows.
const REMEMBER_EVERY: u32 = 15;
const REMEMBERED_FILE: &str = "gossip-members";
const MAX_REMEMBERED: usize = 32;
/// A leader that was not heard for so long may be elsewhere now.
const SILENT_MS: u64 = 2_000;

/// Until the manager stops.
pub async fn stay_reachable(app: App) -> anyhow::Result<()> {
    let file = app.settings.data_dir.join(REMEMBERED_FILE);
    let mut remembered = read(&file);
    app.gossip.join(&remembered);
    let mut steps = 0u32;
    while !app.stop.is_cancelled() {
        if app.group.group_id().is_some() && is_lost(&app) {
            app.gossip.join(&remembered);
            let addresses = addresses(&app);
            app.group.announce(&addresses).await;
        }
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(REMEMBER_EVERY) {
            remember(&app, &file, &mut remembered);
        }
        tokio::select! {
            () = tokio::time::sleep(STEP) => {}
            () = app.stop.cancelled() => {}
        }
    }
    Ok(())
}

/// The others may not know where this manager is, or it where they are.
fn is_lost(app: &App) -> bool {
    let status = app.group.status();
    let me = app.group.identity().manager_id;
    let moved = status
        .members
        .iter()
        .any(|it| it.id == me && it.moved.is_some());
    let view = app.group.stale();
    moved || view.leader.is_none() || view.staleness_ms > SILENT_MS
}

/// Where other managers may be: the membership, the settings, and gossip's members with the port they had.
fn addresses(app: &App) -> Vec<String> {
    let members = app.group.status().members;
    let mut found: Vec<String> = members
        .iter()
        .map(|it| it.node.raft_address.clone())
        .chain(
            members
                .iter()
                .filter_map(|it| it.moved.as_ref())
                .map(|it| it.raft_address.clone()),
        )
        .chain(app.settings.peers.iter().cloned())
        .collect();
    for seen in app.gossip.members() {
        let member = members.iter().find(|it| it.id == seen.id);
        if seen.role == Role::Manager
            && let Some((_, port)) = member.and_then(|it| it.node.raft_address.rsplit_once(':'))
            && let Ok(port) = port.parse()
        {
            found.push(SocketAddr::new(seen.addr.ip(), port).to_string());
        }
    }
    found.sort();
    found.dedup();
    found
}

fn read(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.parse().ok())
        .take(MAX_REMEMBERED)
        .collect()
}

/// Only a hint for the next start, so it is not worth an fsync.
fn remember(app: &App, file: &Path, remembered: &mut Vec<SocketAddr>) {
    let me = app.group.identity().manager_id;
    let members = app.gossip.members();
    let alive = members
        .iter()
        .filter(|it| it.state.is_active() && it.id != me);
    let mut alive: Vec<SocketAddr> = alive.map(|it| it.addr).collect();
    alive.sort();
    alive.truncate(MAX_REMEMBERED);
    if alive.is_empty() || alive == *remembered {
        return;
    }
    let lines: Vec<String> = alive.iter().map(ToString::to_string).collect();
    let part = file.with_extension("new");
    let written =
        std::fs::write(&part, lines.join("\n")).and_then(|()| std::fs::rename(&part, file));
    match written {
        Ok(()) => *remembered = alive,
        Err(error) => tracing::warn!("the gossip members are not remembered: {error}"),
    }
}
