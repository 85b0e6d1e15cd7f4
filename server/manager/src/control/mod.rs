//! The control loops: only the leader runs them, and all they do is propose.

mod clocks;
mod members;
mod observe;
mod reach;

use std::time::{Duration, Instant};

use krakend_domain::{Command, LifeCycleSettings, ManagerRecord, TokenRecord, plan_life_cycle};
use krakend_gossip::{Hint, LeaderHint};
use krakend_raft::{ProposeError, Proposed};
use sha2::Digest as _;

use crate::{app::App, clock, trust::Held};
use members::Keeper;
use observe::Observer;

pub use members::{changed, tell};
pub use reach::stay_reachable;

const STEP: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_secs(60);
const PROPOSE_WITHIN: Duration = Duration::from_secs(5);

/// Forms the group, then leads whenever this manager is the leader.
pub async fn run(app: App) -> anyhow::Result<()> {
    let forming = app
        .group
        .form(&app.settings.peers, app.settings.bootstrap_expect);
    tokio::select! {
        formed = forming => formed?,
        () = app.stop.cancelled() => return Ok(()),
    }
    let registrar = tokio::spawn(register_until_known(app.clone()));
    let mut leadership = app.group.leadership();
    while !app.stop.is_cancelled() {
        let now = *leadership.borrow_and_update();
        if now.is_me {
            lead(&app, now.term).await;
        } else {
            join_gossip(&app);
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = app.stop.cancelled() => break,
        }
    }
    registrar.abort();
    Ok(())
}

/// Proposes within a bound; what was rejected or lost is logged where it matters.
pub async fn propose(app: &App, command: Command) -> Result<Proposed, ProposeError> {
    app.group
        .propose(command, Instant::now() + PROPOSE_WITHIN)
        .await
}

async fn lead(app: &App, term: u64) {
    let me = app.group.identity().manager_id;
    let mut founded = begin_term(app, term).await;
    let mut observer = Observer::new(Instant::now());
    let mut keeper = Keeper::new(Instant::now());
    let mut next_tick = Instant::now() + TICK;
    let mut leadership = app.group.leadership();
    let settings = LifeCycleSettings {
        grace_ms: app.settings.grace_ms,
        reap_ms: app.settings.reap_ms,
        ..LifeCycleSettings::default()
    };
    loop {
        let now = *leadership.borrow_and_update();
        if !now.is_me || now.term != term || app.stop.is_cancelled() {
            return;
        }
        let view = app.group.stale();
        app.gossip.set_hint(hint(app, &view.state, term, me));
        join_gossip(app);
        let observed = observer.observe(app, &view.state);
        let now_ms = clock::decide_ms(&view.state);
        let mut steps = plan_life_cycle(&view.state, &observed, now_ms, &settings);
        if view.state.is_license_news(now_ms) {
            steps.push(Command::Tick);
        }
        steps.extend(clocks::reports(app, &view.state));
        steps.extend(first_word(app, &view.state));
        steps.extend(statistics_limit(app, &view.state));
        for command in steps {
            if let Err(error) = propose(app, command).await {
                tracing::debug!("a step was not taken: {error}");
            }
        }
        keeper.step(app);
        if founded && raise_feature_level(app).await {
            founded = false;
        }
        if Instant::now() >= next_tick {
            next_tick = Instant::now() + TICK;
            let _ = propose(app, Command::Tick).await;
        }
        tokio::select! {
            _ = leadership.changed() => {}
            () = tokio::time::sleep(STEP) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

/// Whether this manager has just founded the group.
async fn begin_term(app: &App, term: u64) -> bool {
    let me = app.group.identity();
    let mut founded = false;
    if app.group.stale().state.meta().group_id.is_none() {
        let group_id = app.group.group_id().unwrap_or_default();
        let token = first_token(app.trust.ring().in_use(), group_id);
        let first = Command::Bootstrap {
            group_id,
            first_token: token,
        };
        match propose(app, first).await {
            Ok(_) => {
                founded = true;
                // So that the first leader has a name in the event trail.
                let _ = propose(app, register(app)).await;
            }
            Err(error) => tracing::debug!("the group's first entry was not written: {error}"),
        }
    }
    // First of all, so that a jump of the clock is put down to who made it.
    let elected = Command::LeaderElected {
        manager_id: me.manager_id,
        term,
    };
    match propose(app, elected).await {
        Ok(_) => tracing::info!("{} leads the group, term {term}", app.settings.name),
        Err(error) => tracing::warn!("the new term {term} could not be written: {error}"),
    }
    let _ = propose(app, register(app)).await;
    founded
}

/// A new group has no older managers to go back to, so it begins with everything that it can. True when it is done.
async fn raise_feature_level(app: &App) -> bool {
    let command = Command::RaiseFeatureLevel {
        level: krakend_domain::FEATURE_LEVEL,
        by: app.settings.name.clone(),
    };
    let raised = propose(app, command).await;
    // Refused as long as a voter has not answered.
    !matches!(raised, Err(ProposeError::NotSupported { .. }))
}

fn first_token(held: &Held, group_id: uuid::Uuid) -> TokenRecord {
    let text = held.first_token_text(group_id);
    TokenRecord {
        id: group_id,
        name: "admin".into(),
        role: krakend_domain::Role::Admin,
        sha256: krakend_domain::Digest(sha2::Sha256::digest(text.as_bytes()).into()),
        created_by: "bootstrap".into(),
        expires_ms: None,
    }
}

/// A group that may say so says which secret it uses, so that one that is added is not taken for it.
fn first_word(app: &App, state: &krakend_domain::ClusterState) -> Option<Command> {
    let command = Command::UseSecret {
        id: app.trust.ring().in_use().id,
        by: app.settings.name.clone(),
    };
    let unsaid = state.secret().in_use.is_none() && state.meta().group_id.is_some();
    (unsaid && state.meta().feature_level >= command.needs_level()).then_some(command)
}

/// The room for statistics is in the state, because every manager has to drop the same windows. The leader's settings hold.
fn statistics_limit(app: &App, state: &krakend_domain::ClusterState) -> Option<Command> {
    let max_bytes = app.settings.statistics_max_bytes;
    let command = Command::SetStatisticsLimit {
        max_bytes,
        by: app.settings.name.clone(),
    };
    let known = state.series_meta().max_bytes == max_bytes;
    (!known && state.meta().feature_level >= command.needs_level()).then_some(command)
}

fn register(app: &App) -> Command {
    Command::RegisterManager(ManagerRecord {
        id: app.group.identity().manager_id,
        name: app.settings.name.clone(),
        raft_address: app.raft_address.clone(),
        node_address: app.node_address.clone(),
        http_address: app.http_address.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// After each start, until it is in the state; and the admin token's file once the group has begun.
async fn register_until_known(app: App) {
    loop {
        let state = app.group.stale().state;
        let begun = state.meta().group_id;
        if begun.is_some() {
            write_admin_token(&app, &state);
            match propose(&app, register(&app)).await {
                Ok(_) => return,
                Err(error) => tracing::debug!("not registered, trying again: {error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Written once: a token that was revoked or moved away does not come back by a restart.
fn write_admin_token(app: &App, state: &krakend_domain::ClusterState) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = app.settings.data_dir.join("admin-token");
    // Its id is that of the first group: after a restore or a recovery the group has another.
    let ring = app.trust.ring();
    let first = state.tokens().find_map(|token| {
        let held = ring
            .all()
            .find(|held| *token == first_token(held, token.id));
        held.map(|held| held.first_token_text(token.id))
    });
    let Some(first) = first else {
        return;
    };
    if path.exists() {
        return;
    }
    let write = || -> std::io::Result<()> {
        let part = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        writeln!(file, "{first}")?;
        file.sync_all()?;
        std::fs::rename(&part, &path)
    };
    match write() {
        Ok(()) => tracing::info!("the admin token is in {}", path.display()),
        Err(error) => tracing::error!("{} cannot be written: {error}", path.display()),
    }
}

fn hint(app: &App, state: &krakend_domain::ClusterState, term: u64, me: uuid::Uuid) -> Hint {
    let members = app.group.status().members;
    let managers = members
        .iter()
        .map(|member| member.node.node_address.clone());
    Hint {
        leader: Some(LeaderHint {
            id: me,
            term,
            node_addr: app.node_address.clone(),
        }),
        managers: managers.take(9).collect(),
        generation: (state.meta().epoch, state.meta().generation),
    }
}

/// The other managers are gossip's seeds; announcing to a member that is known costs one packet.
fn join_gossip(app: &App) {
    let known = app.gossip.members();
    let alone = !known.iter().any(|member| {
        member.role == krakend_gossip::Role::Manager
            && member.id != app.group.identity().manager_id
            && member.state.is_active()
    });
    if !alone {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let mut seeds = Vec::new();
        for member in app.group.status().members {
            if let Ok(found) = tokio::net::lookup_host(&member.node.node_address).await {
                seeds.extend(found.take(2));
            }
        }
        app.gossip.join(&seeds);
    });
}
