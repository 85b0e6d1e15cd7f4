//! Three managers, then three etcd members, through the same measurements.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{GroupArguments, Plan, READERS, WRITERS};
use crate::bare::Bare;
use crate::etcd::Etcd;
use crate::failover;
use crate::load::{self, Kind};
use crate::managers::Managers;
use crate::nodes;
use crate::peer::{Peer, ready};
use crate::process::in_memory;
use crate::report::{Memory, Report, Side};
use crate::summary::Summary;

/// Measures both and prints what came of it on standard output; progress goes to standard error.
///
/// # Errors
/// A group does not start, serve or come back; data and logs stay then.
pub async fn run(arguments: &GroupArguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    // Whichever way this ends, dropping the groups ends their processes.
    let report = tokio::select! {
        measured = measure_both(arguments) => measured?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; {}", kept(&arguments.dir)),
        _ = terminate.recv() => bail!("terminated; {}", kept(&arguments.dir)),
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.text());
    }
    Ok(())
}

async fn measure_both(arguments: &GroupArguments) -> Result<Report> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures show that it works, nothing else");
    }
    let plan = arguments.plan();
    let dir = own_dir(&arguments.dir)?;
    if let Some(kind) = in_memory(&dir) {
        let shown = dir.display();
        eprintln!("{shown} is on {kind}, so no fsync reaches a disk: give another --dir");
    }
    let measured = both(arguments, &plan, &dir).await;
    let report = measured.with_context(|| kept(&dir))?;
    std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    Ok(report)
}

async fn both(arguments: &GroupArguments, plan: &Plan, dir: &Path) -> Result<Report> {
    if arguments.floor {
        let mut bare = Bare::new(&dir.join("bare"))?;
        bare.members_mut().start_all()?;
        await_leader(&mut bare).await?;
        loads(&mut bare, Kind::Write, &WRITERS, plan).await?;
        loads(&mut bare, Kind::Read, &READERS, plan).await?;
    }
    let mut managers = Managers::new(&dir.join("ours"), &arguments.manager)?;
    managers.members_mut().start_all()?;
    // The first fleet is there from the beginning; the others can be made only when there is a leader.
    await_leader(&mut managers).await?;
    managers
        .make_fleets(WRITERS.into_iter().max().unwrap_or(1))
        .await?;
    if arguments.nodes > 0 {
        nodes::populate(&mut managers, &arguments.manager, arguments.nodes).await?;
    }
    let ours = measure(&mut managers, plan).await?;
    drop(managers);
    let mut etcd = Etcd::new(&dir.join("etcd"), &arguments.etcd)?;
    etcd.members_mut().start_all()?;
    let etcd = measure(&mut etcd, plan).await?;
    Ok(Report::new(ours, etcd))
}

async fn measure<P: Peer>(peer: &mut P, plan: &Plan) -> Result<Side> {
    ready(peer).await?;
    let at_start_mb = peer.members().memory_mb()?;
    let writes = loads(peer, Kind::Write, &WRITERS, plan).await?;
    let reads = loads(peer, Kind::Read, &READERS, plan).await?;
    let after_load_mb = peer.members().memory_mb()?;
    ready(peer).await?;
    Ok(Side {
        writes,
        reads,
        memory: Memory {
            at_start_mb,
            after_load_mb,
        },
        failover: failover::run(peer, plan.kills).await?,
    })
}

async fn loads<P: Peer>(
    peer: &mut P,
    kind: Kind,
    clients: &[usize],
    plan: &Plan,
) -> Result<Vec<(usize, Summary)>> {
    let mut summaries = Vec::new();
    for clients in clients.iter().copied() {
        let what = || format!("{}: {kind:?} with {clients} clients", P::NAME);
        let summary = load::run(peer, kind, clients, plan)
            .await
            .with_context(what)?;
        peer.members_mut().expect_running()?;
        eprintln!(
            "{}: {:.0}/s, p50 {} ms, p99 {} ms, {} errors",
            what(),
            summary.per_s,
            summary.p50_ms,
            summary.p99_ms,
            summary.errors
        );
        summaries.push((clients, summary));
    }
    Ok(summaries)
}

async fn await_leader<P: Peer>(peer: &mut P) -> Result<()> {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
    let waiting = async {
        while peer.leader().await.is_err() {
            peer.members_mut().expect_running()?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    waited.with_context(|| format!("{}: no leader within {LIMIT:?}", P::NAME))?
}

fn kept(dir: &Path) -> String {
    format!("data and logs are kept in {}", dir.display())
}

/// A directory of this run below the one that was given, so that removing it removes nothing else.
fn own_dir(base: &Path) -> Result<PathBuf> {
    let dir = base.join(format!("group-{}", std::process::id()));
    let make = std::fs::create_dir_all(base).and_then(|()| std::fs::create_dir(&dir));
    make.with_context(|| format!("make {}", dir.display()))?;
    dir.canonicalize()
        .with_context(|| format!("find {}", dir.display()))
}
