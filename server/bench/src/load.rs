//! A closed loop: so many clients, each sending its next request when the last one is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::args::{Plan, Target};
use crate::peer::{Client, Peer, REQUEST_LIMIT, SIZE};
use crate::summary::{Recorder, Summary};

/// Connections that are made at a time.
const CONNECTING: usize = 32;
/// A client whose request failed does not hammer.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Read,
}

/// What all clients of one measurement share.
#[derive(Debug)]
struct Measurement {
    kind: Kind,
    from: Instant,
    until: Instant,
    recorder: Mutex<Recorder>,
}

impl Measurement {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads the group and says what it did between warm-up and end; answers that come after the end are not counted.
///
/// # Errors
/// A client cannot connect, or nothing was answered at all.
pub async fn run<P: Peer>(peer: &P, kind: Kind, clients: usize, plan: &Plan) -> Result<Summary> {
    let clients = connect(peer, kind, clients, plan.to).await?;
    let from = Instant::now() + plan.warm_up;
    let measurement = Arc::new(Measurement {
        kind,
        from,
        until: from + plan.window,
        recorder: Mutex::new(Recorder::new()?),
    });
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(work(client, measurement.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a client")?;
    }
    let recorder = measurement.recorder();
    if let Some(error) = recorder.first_error() {
        eprintln!("{}: the first error: {error}", P::NAME);
    }
    Ok(recorder.summary(plan.window))
}

/// Everyone connected before anyone starts; a reader has written what it will read.
async fn connect<P: Peer>(
    peer: &P,
    kind: Kind,
    clients: usize,
    to: Target,
) -> Result<Vec<P::Client>> {
    let leader = peer.leader().await?;
    futures::stream::iter(0..clients)
        .map(|number| async move {
            let member = match to {
                Target::Leader => leader,
                Target::Each => number % SIZE,
            };
            let mut client = peer.connect(member, number).await?;
            if kind == Kind::Read {
                client.write(REQUEST_LIMIT).await?;
            }
            anyhow::Ok(client)
        })
        .buffer_unordered(CONNECTING)
        .try_collect()
        .await
        .with_context(|| format!("{}: connect {clients} clients", P::NAME))
}

async fn work<C: Client>(mut client: C, measurement: Arc<Measurement>) {
    loop {
        let start = Instant::now();
        if start >= measurement.until {
            return;
        }
        let answered = match measurement.kind {
            Kind::Write => client.write(REQUEST_LIMIT).await,
            Kind::Read => client.read(REQUEST_LIMIT).await,
        };
        let end = Instant::now();
        let failed = answered.is_err();
        if end >= measurement.from && end < measurement.until {
            measurement.recorder().record(end - start, answered);
        }
        if failed {
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}
