use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use krakend_proto::tls::LiveTls;
use krakend_storage::{LogPosition, SyncFault};
use tokio::sync::{Semaphore, watch};

use super::{
    Inner,
    alarms::Alarms,
    check, clock,
    disk::{self, DiskSettings},
    fetch,
    files::{self, Opened},
    gate::Gate,
    known,
    proposals::Proposals,
    replace, snapshots, status,
    status::Leadership,
    vigil,
};
use crate::{
    error::OpenError,
    network::{Clock, Dialer, Local, NetworkFactory, Peers},
    rt,
    store::{LogStorage, LogStore, StateMachine, build_snapshot},
    timers::Timers,
    types::{ManagerNode, Raft},
};

/// Threads for Raft alone, so that it does not wait behind the manager's other work: half of the processors. On a
/// small machine it is one, because two that hand their tasks to each other cost more than they do.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

/// Hashing a whole state costs each manager some CPU.
const CHECK_EVERY: Duration = Duration::from_secs(300);

/// When snapshots are written, and how much log stays behind them.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSettings {
    /// After so many bytes of log.
    pub every_bytes: u64,
    /// After so long, when anything was applied since.
    pub every: Duration,
    /// Entries that stay in the log, so that a manager that was away for a while needs no snapshot.
    pub keep_entries: u64,
    /// How often the two limits are looked at.
    pub look_every: Duration,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self {
            every_bytes: 64 * 1024 * 1024,
            every: Duration::from_secs(600),
            keep_entries: 100_000,
            look_every: Duration::from_secs(5),
        }
    }
}

/// What a manager has to know to open its part of the group.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Everything that is kept lies here.
    pub data_dir: PathBuf,
    /// How this manager is called and reached.
    pub manager: ManagerNode,
    /// The other managers as the settings know them, as `host:port`: whom to ask when files of this one are damaged.
    pub peers: Vec<String>,
    pub timers: Timers,
    pub snapshots: SnapshotSettings,
    pub disk: DiskSettings,
    /// How often the leader compares the managers' states.
    pub check_every: Duration,
    /// Lets tests fail the fsyncs of the log.
    pub sync_fault: Option<SyncFault>,
}

impl GroupConfig {
    /// With the settings of a local network.
    pub fn new(data_dir: PathBuf, manager: ManagerNode) -> Self {
        Self {
            data_dir,
            manager,
            peers: Vec::new(),
            timers: Timers::lan(),
            snapshots: SnapshotSettings::default(),
            disk: DiskSettings::default(),
            check_every: CHECK_EVERY,
            sync_fault: None,
        }
    }
}

impl Inner {
    pub(super) async fn open(
        config: GroupConfig,
        tls: Option<LiveTls>,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        config.timers.config(config.snapshots.keep_entries)?;
        let dialer = Dialer::new(tls);
        let to_open = config.clone();
        let opened = rt::spawn_blocking(move || files::open(&to_open))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        Self::start(config, opened, dialer, clock).await
    }

    /// Starts Raft, and everything that watches it.
    pub(crate) async fn start(
        config: GroupConfig,
        opened: Opened,
        dialer: Dialer,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        let raft_config = config.timers.config(config.snapshots.keep_entries)?;
        let tls = dialer.tls();
        let local = Arc::new(Local::new(
            config.data_dir,
            config.manager,
            opened.identity.clone(),
            opened.shared.clone(),
            clock.clone(),
        ));
        fill_gap(&opened, &dialer, &local).await?;
        cover_gap(&opened).await?;
        let Opened {
            lock,
            log,
            files,
            shared,
            behind,
            others,
            ..
        } = opened;
        let runtime = rt::Pool::new(threads(), "raft").map_err(OpenError::Thread)?;
        let machine = StateMachine::new(shared.clone(), behind.clone(), files.clone());
        let network = NetworkFactory::new(dialer.clone(), local.clone());
        let start = Raft::new(
            local.id(),
            raft_config,
            network,
            LogStorage::new(log.clone()),
            machine,
        );
        let raft = match runtime.spawn(start).await {
            Ok(Ok(raft)) => raft,
            Ok(Err(error)) => return Err(give_up(runtime, &log, error.to_string()).await),
            Err(error) => return Err(give_up(runtime, &log, error.to_string()).await),
        };
        let inner = Arc::new(Self {
            raft,
            peers: Peers::new(dialer, local.clone()),
            local,
            files,
            shared,
            log,
            behind,
            tls,
            timers: config.timers,
            alarms: Alarms::new(clock),
            proposals: Proposals::default(),
            reads: Gate::default(),
            fetches: Semaphore::new(1),
            leadership: watch::Sender::new(Leadership::default()),
            forming: tokio::sync::Mutex::default(),
            fault: watch::Sender::new(None),
            leader_changes: AtomicU64::new(0),
            attended: watch::Sender::new(None),
            dead: watch::Sender::new(None),
            threads: runtime.handle(),
            runtime: Mutex::new(None),
            lock: Mutex::new(lock),
            relay: super::relay::Relay::default(),
        });
        runtime.spawn(status::watch_leadership(Arc::downgrade(&inner)));
        runtime.spawn(clock::watch(Arc::downgrade(&inner)));
        runtime.spawn(status::watch_health(Arc::downgrade(&inner)));
        runtime.spawn(vigil::keep(Arc::downgrade(&inner)));
        runtime.spawn(snapshots::run(Arc::downgrade(&inner), config.snapshots));
        runtime.spawn(check::run(Arc::downgrade(&inner), config.check_every));
        runtime.spawn(disk::run(Arc::downgrade(&inner), config.disk));
        runtime.spawn(known::keep(Arc::downgrade(&inner)));
        runtime.spawn(replace::run(Arc::downgrade(&inner), others));
        if let Ok(mut kept) = inner.runtime.lock() {
            *kept = Some(runtime);
        }
        Ok(inner)
    }
}

/// Where the log begins behind everything that is known of the state, another manager has to help.
async fn fill_gap(opened: &Opened, dialer: &Dialer, local: &Local) -> Result<(), OpenError> {
    let summary = opened.log.summary().await?;
    let Some(purged) = summary.purged.map(|it| it.index) else {
        return Ok(());
    };
    if opened.have.is_some_and(|it| it.index >= purged) {
        return Ok(());
    }
    let others = &opened.others;
    if others.is_empty() {
        opened.log.close().await;
        return Err(OpenError::StateLost { purged });
    }
    let found = fetch::fetch(dialer, local, &opened.files, others, purged).await;
    Ok(fetch::reconcile(&opened.log, found.position).await?)
}

/// A log that ends before the applied state is purged up to there when Raft starts, and a purged log wants a snapshot
/// that reaches as far. So it comes to be: a follower applies what the others have on disk before it has it on its own,
/// the state is written, and then the power goes.
async fn cover_gap(opened: &Opened) -> Result<(), OpenError> {
    let summary = opened.log.summary().await?;
    let index = |it: Option<LogPosition>| it.map_or(0, |it| it.index);
    let frozen = opened.shared.read().clone();
    let applied = frozen.last_applied.map_or(0, |it| it.index);
    let begins = match index(summary.last) < applied {
        true => applied,
        false => index(summary.purged),
    };
    let newest = opened.files.newest()?.map(|it| it.position);
    if applied < begins || begins <= index(newest) {
        return Ok(());
    }
    tracing::warn!(
        applied,
        "no snapshot reaches to where the log begins: writing one"
    );
    let files = opened.files.clone();
    let written = rt::spawn_blocking(move || build_snapshot(&frozen, &files)).await;
    let failed = |error: &dyn std::fmt::Display| OpenError::Raft(error.to_string());
    let written = written.map_err(|error| failed(&error))?;
    written.map(drop).map_err(|error| failed(&error))
}

/// Leaves nothing running behind an error.
async fn give_up(runtime: rt::Pool, log: &LogStore, reason: String) -> OpenError {
    runtime.shutdown_background();
    log.close().await;
    OpenError::Raft(reason)
}
