//! The parts of a running node put together, and their end in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::api;
use crate::applier::Applier;
use crate::listen::address_of;
use crate::runtime::{self, Runtime, RuntimeChoice, RuntimeOptions};
use crate::session::{Follower, Phase};
use crate::settings::{GatewayChoice, Settings};
use crate::statistics::{Sampler, Spool};
use crate::status::StatusBoard;
use crate::store::Store;

/// How long a leader is looked for to say goodbye to.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);
/// Statistics, farewell and a last attempt.
const FOLLOWER_WITHIN: Duration = Duration::from_secs(8);
const GOSSIP_LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Runs a node until a signal ends it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let store = Arc::new(Store::open(&settings.data_dir)?);
    let identity = store.identity()?;
    let local = local_document(&settings)?;
    let runtime = start_gateway(&settings, &store, local.as_deref()).await?;
    let spool = Arc::new(Spool::open(&store.path("statistics"))?);
    let applier = Arc::new(Applier::new(store.clone(), runtime.clone())?);
    let board = StatusBoard::new(
        settings.clone(),
        runtime.clone(),
        applier.clone(),
        spool.clone(),
    );
    let board = Arc::new(board);
    api::start(settings.api_listen, board.clone()).await?;
    if !applier.serve_last_good().await {
        serve_local(runtime.as_ref(), local.as_deref(), &settings).await?;
    }
    let sampler = Arc::new(Sampler::new(
        runtime.clone(),
        spool.clone(),
        settings.sample_period,
    ));
    let (phase, phases) = watch::channel(Phase::Running);
    let follower = Follower {
        store_id: identity.store_id,
        settings: settings.clone(),
        store,
        runtime: runtime.clone(),
        spool,
        applier: applier.clone(),
        status: board,
        phase: phases,
        said: Default::default(),
        time: Default::default(),
    };
    let joined = !settings.seeds.is_empty();
    let following = tokio::spawn(async move {
        match joined {
            true => follower.run().await,
            false => None,
        }
    });
    let sampling = tokio::spawn({
        let sampler = sampler.clone();
        async move {
            if joined {
                sampler.run().await;
            }
        }
    });
    let applying = tokio::spawn(async move { applier.run().await });
    let name = signals.next().await;
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
    if joined {
        sampling.abort();
        let _ = sampling.await;
        sampler.sample().await;
    }
    phase.send_replace(Phase::Leaving(Instant::now() + GOODBYE_WITHIN));
    match tokio::time::timeout(FOLLOWER_WITHIN, following).await {
        Ok(Ok(Some(membership))) => {
            membership.gossip().clone().leave(GOSSIP_LEAVE_WITHIN).await;
        }
        Ok(_) => {}
        Err(_) => tracing::warn!("no manager has confirmed that this node left"),
    }
    Ok(())
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
    let kind = match (settings.gateway, &settings.krakend_bin) {
        (GatewayChoice::Auto, _) => RuntimeChoice::Auto,
        (GatewayChoice::Embedded, _) => RuntimeChoice::Embedded,
        (GatewayChoice::Krakend, Some(path)) => RuntimeChoice::Krakend(path.clone()),
        (GatewayChoice::Krakend, None) => RuntimeChoice::Krakend("krakend".into()),
    };
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
