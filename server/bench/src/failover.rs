//! How long nobody can write after the leader was killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use crate::peer::{Client, Peer, SIZE, ready};
use crate::summary::Failover;

/// A caller who tries again at once when a request fails, and gives one up after this: a request that a dead leader has
/// swallowed must not hide that the group is back.
const ATTEMPT: Duration = Duration::from_millis(300);
/// Callers at each survivor. They begin one after the other, so that one of them always begins within `ATTEMPT / CALLERS`.
const CALLERS: u32 = 6;
/// Between a refusal and the next attempt.
const PAUSE: Duration = Duration::from_millis(5);
/// A group that is not back by then is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// Kills the leader so many times; whoever was killed is back and has caught up before the next time.
///
/// # Errors
/// The group does not come back.
pub async fn run<P: Peer>(peer: &mut P, kills: u32) -> Result<Failover> {
    let mut times = Vec::new();
    for kill in 1..=kills {
        let took = once(peer)
            .await
            .with_context(|| format!("{}: kill {kill} of {kills}", P::NAME))?;
        eprintln!(
            "{}: kill {kill} of {kills}: {:.3} s",
            P::NAME,
            took.as_secs_f64()
        );
        times.push(took);
    }
    Failover::of(times).context("the leader was never killed")
}

async fn once<P: Peer>(peer: &mut P) -> Result<Duration> {
    let leader = peer.leader().await?;
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        for survivor in (0..SIZE).filter(|member| *member != leader) {
            let client = peer.connect(survivor, callers.len()).await?;
            callers.push((ATTEMPT * caller / CALLERS, client));
        }
    }
    let start = Instant::now();
    peer.members_mut().kill(leader).await?;
    let mut tasks = JoinSet::new();
    for (delay, client) in callers {
        tasks.spawn(first_write(delay, client));
    }
    let written = tokio::time::timeout(LIMIT, tasks.join_next()).await;
    let took = start.elapsed();
    match written {
        Ok(Some(Ok(()))) => {}
        Ok(_) => bail!("a caller ended without an answer"),
        Err(_) => bail!("no write was acknowledged within {LIMIT:?} after the leader was killed"),
    }
    tasks.shutdown().await;
    peer.members_mut().start(leader)?;
    ready(peer).await?;
    Ok(took)
}

async fn first_write<C: Client>(delay: Duration, mut client: C) {
    tokio::time::sleep(delay).await;
    while client.write(ATTEMPT).await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}
