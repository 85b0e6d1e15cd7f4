//! The parts of a running node put together, and their end in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::api;
use crate::applier::Applier;
use crate::clock;
use crate::control;
use crate::desk::{self, Desk};
use crate::lease::LeaseKeeper;
use crate::listen::address_of;
use crate::notify::Notifier;
use crate::runtime::{self, Runtime, RuntimeOptions};
use crate::session::{Farewell, Follower, Phase};
use crate::settings::Settings;
use crate::statistics::{BYTES_LEVEL, Sampler, Spool, Totals, Wanted};
use crate::status::StatusBoard;
use crate::store::Store;

/// How long a leader is looked for to say goodbye to.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);
/// Statistics, farewell and a last attempt.
const FOLLOWER_WITHIN: Duration = Duration::from_secs(8);
const GOSSIP_LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// For the answer to `krakend-node leave` to be written.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
/// How often the line for `systemctl status` is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Runs a node until a signal or `krakend-node leave` ends it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let notifier = Arc::new(Notifier::from_environment());
    let store = Arc::new(Store::open(&settings.data_dir)?);
    let identity = store.take_up_identity()?;
    let mut leaves = control::listen(&settings.data_dir).with_context(|| {
        let dir = settings.data_dir.display();
        format!("the socket of `krakend-node leave` in {dir} is not opened")
    })?;
    let local = local_document(&settings)?;
    let runtime = start_gateway(&settings, &store, local.as_deref()).await?;
    let spool = Arc::new(Spool::open(&store.path("statistics"))?);
    let applier = Arc::new(Applier::new(store.clone(), runtime.clone())?);
    let lease = LeaseKeeper::open(store.clone(), identity.enrolled.as_ref(), clock::reading);
    let lease = Arc::new(lease);
    let totals = Arc::new(Totals::default());
    let board = Arc::new(StatusBoard::new(
        settings.clone(),
        runtime.clone(),
        applier.clone(),
        spool.clone(),
        lease.clone(),
        totals.clone(),
    ));
    api::start(settings.api_listen, board.clone()).await?;
    let desk = Arc::new(Desk::open(&store, runtime.clone(), applier.clone())?);
    if let Some(listen) = settings.agent_check {
        desk::answer_agent_checks(listen, runtime.clone()).await?;
    }
    tokio::spawn({
        let desk = desk.clone();
        async move { desk.watch_files().await }
    });
    if !applier.serve_last_good().await {
        serve_local(runtime.as_ref(), local.as_deref(), &settings).await?;
    }
    let joined = !settings.seeds.is_empty();
    let group_level = Arc::new(AtomicU32::new(0));
    let sampler = Arc::new(Sampler::new(
        runtime.clone(),
        spool.clone(),
        settings.sample_period,
        totals,
        {
            let (lease, level) = (lease.clone(), group_level.clone());
            move || match joined && !lease.has_ended() {
                false => Wanted::Nothing,
                true if level.load(Ordering::Relaxed) >= BYTES_LEVEL => Wanted::Everything,
                true => Wanted::WithoutBytes,
            }
        },
    ));
    let (phase, phases) = watch::channel(Phase::Running);
    let follower = Follower {
        store_id: identity.store_id,
        settings: settings.clone(),
        store,
        runtime: runtime.clone(),
        spool,
        applier: applier.clone(),
        status: board.clone(),
        lease: lease.clone(),
        phase: phases,
        desk,
        said: Default::default(),
        group_level,
        time: Default::default(),
    };
    let following = tokio::spawn(async move {
        match joined {
            true => follower.run().await,
            false => Farewell::NeverJoined,
        }
    });
    let sampling = tokio::spawn({
        let sampler = sampler.clone();
        async move { sampler.run().await }
    });
    let applying = tokio::spawn(async move { applier.run().await });
    tokio::spawn(async move { lease.run().await });
    notifier.status(&board.line());
    notifier.ready();
    let telling = tokio::spawn(tell_systemd(notifier.clone(), board.clone()));
    let (name, request) = tokio::select! {
        name = signals.next() => (name, None),
        Some(request) = leaves.recv() => ("leave", Some(request)),
    };
    notifier.stopping();
    tracing::info!(
        "{name}: ending; open requests have {:?}",
        settings.shutdown_grace
    );
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("a second signal: ending at once");
        std::process::exit(1);
    });
    // The gateway first: only then its counters are final.
    runtime.shutdown(settings.shutdown_grace).await;
    applying.abort();
    sampling.abort();
    let _ = sampling.await;
    sampler.sample().await;
    phase.send_replace(Phase::Leaving {
        until: Instant::now() + GOODBYE_WITHIN,
        for_good: request.is_some(),
    });
    let farewell = tokio::time::timeout(FOLLOWER_WITHIN, following).await;
    let farewell = match farewell {
        Ok(Ok(farewell)) => farewell,
        _ => Farewell::Unconfirmed,
    };
    // Whether or not a leader has heard it: members need not find out by themselves, and without a leader this is
    // how the next one hears of it.
    let told = match board.gossip() {
        Some(gossip) => gossip.leave(GOSSIP_LEAVE_WITHIN).await,
        None => false,
    };
    let outcome = outcome(farewell, told, request.is_some());
    tracing::info!("{outcome}");
    telling.abort();
    if let Some(request) = request {
        let _ = request.answer.send(format!("{outcome}\n"));
        // The answer is written by a task of its own.
        tokio::time::sleep(ANSWER_WITHIN).await;
    }
    Ok(())
}

/// What became of the end, in words.
fn outcome(farewell: Farewell, told: bool, for_good: bool) -> &'static str {
    match (farewell, for_good, told) {
        (Farewell::Confirmed, true, _) => "left the cluster for good: the seat is free",
        (Farewell::Confirmed, false, _) => {
            "stopped: the seat is held for five minutes, then it is free"
        }
        (Farewell::Unconfirmed, _, true) => {
            "no leader has answered: the other members know through gossip, and the next leader writes it. The seat is \
             free five minutes after that"
        }
        (Farewell::Unconfirmed, _, false) => {
            "neither a leader nor a member has answered: this node is unreachable to them, and its seat is free after \
             the grace period"
        }
        (Farewell::NeverJoined, ..) => "stopped: this node held no seat",
    }
}

/// Signs of life, and the status line where it changed.
async fn tell_systemd(notifier: Arc<Notifier>, board: Arc<StatusBoard>) {
    let every = notifier.sign_of_life_every();
    let mut ticks = tokio::time::interval(every.unwrap_or(STATUS_EVERY).min(STATUS_EVERY));
    let mut told = String::new();
    loop {
        ticks.tick().await;
        if every.is_some() && board.is_alive() {
            notifier.alive();
        }
        let line = board.line();
        if line != told {
            notifier.status(&line);
            told = line;
        }
    }
}

fn local_document(settings: &Settings) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = &settings.config else {
        return Ok(None);
    };
    let document = std::fs::read(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    Ok(Some(document))
}

async fn start_gateway(
    settings: &Settings,
    store: &Store,
    local: Option<&[u8]>,
) -> anyhow::Result<Arc<dyn Runtime>> {
    let last = store.last_good()?;
    let last = last.and_then(|good| store.document(&good.digest, &good.body_sha256));
    let listen = settings
        .listen
        .unwrap_or_else(|| address_of(last.as_deref().or(local)));
    let kind = settings.gateway.with(settings.krakend_bin.as_deref());
    let mut options = RuntimeOptions::new(kind, listen, store.path("gateway"));
    options.krakend_path.clone_from(&settings.krakend_bin);
    options.drain_timeout = settings.shutdown_grace;
    Ok(runtime::start(options).await?)
}

async fn serve_local(
    runtime: &dyn Runtime,
    local: Option<&[u8]>,
    settings: &Settings,
) -> anyhow::Result<()> {
    let Some(document) = local else {
        tracing::warn!(
            "there is no configuration yet: the gateway answers 503 until the fleet has a version"
        );
        return Ok(());
    };
    match runtime.apply(document).await {
        Ok(_) => tracing::info!("serving the local configuration"),
        // Alone, nothing would ever change that.
        Err(error) if settings.seeds.is_empty() => return Err(error.into()),
        Err(error) => tracing::error!("the local configuration does not come up: {error}"),
    }
    Ok(())
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
