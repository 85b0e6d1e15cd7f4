use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use krakend_storage::{
    DataDirLock, Identity, LogSettings, LogStore, SnapshotFiles, StateError, StateStore, SyncFault,
    finish_replacement,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{Inner, clock, snapshots, status, status::Leadership, vigil};
use crate::{
    error::OpenError,
    network::{Clock, Dialer, Local, NetworkFactory, PeerTls, Peers},
    store::{LogStorage, Shared, StateMachine, WriteBehind},
    timers::Timers,
    types::{ManagerNode, Raft},
};

/// Threads for Raft alone, so that it does not wait behind the manager's other work.
const THREADS: usize = 2;

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
    pub timers: Timers,
    pub snapshots: SnapshotSettings,
    /// Lets tests fail the fsyncs of the log.
    pub sync_fault: Option<SyncFault>,
}

impl GroupConfig {
    /// With the settings of a local network.
    pub fn new(data_dir: PathBuf, manager: ManagerNode) -> Self {
        Self {
            data_dir,
            manager,
            timers: Timers::lan(),
            snapshots: SnapshotSettings::default(),
            sync_fault: None,
        }
    }
}

/// What lies on disk, opened and verified.
struct Opened {
    lock: DataDirLock,
    identity: Identity,
    log: LogStore,
    files: SnapshotFiles,
    shared: Arc<Shared>,
    behind: Arc<WriteBehind>,
}

impl Inner {
    pub(super) async fn open(
        config: GroupConfig,
        tls: Option<PeerTls>,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        let raft_config = config.timers.config(config.snapshots.keep_entries)?;
        let dialer = Dialer::new(tls.clone());
        // Material that cannot be used is better found now than at the first election.
        dialer
            .endpoint("127.0.0.1:7001")
            .map_err(|error| OpenError::Tls(error.to_string()))?;
        let (dir, fault) = (config.data_dir.clone(), config.sync_fault.clone());
        let opened = tokio::task::spawn_blocking(move || open_files(&dir, fault))
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))??;
        let Opened {
            lock,
            identity,
            log,
            files,
            shared,
            behind,
        } = opened;
        let local = Arc::new(Local::new(
            config.data_dir,
            config.manager,
            identity,
            shared.clone(),
            clock,
        ));
        let runtime = runtime()?;
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
            leadership: watch::Sender::new(Leadership::default()),
            forming: tokio::sync::Mutex::default(),
            fault: watch::Sender::new(None),
            attended: watch::Sender::new(None),
            dead: watch::Sender::new(None),
            runtime: Mutex::new(None),
            lock: Mutex::new(Some(lock)),
        });
        runtime.spawn(status::watch_leadership(Arc::downgrade(&inner)));
        runtime.spawn(clock::watch(Arc::downgrade(&inner)));
        runtime.spawn(status::watch_health(Arc::downgrade(&inner)));
        runtime.spawn(vigil::keep(Arc::downgrade(&inner)));
        runtime.spawn(snapshots::run(Arc::downgrade(&inner), config.snapshots));
        if let Ok(mut kept) = inner.runtime.lock() {
            *kept = Some(runtime);
        }
        Ok(inner)
    }
}

fn open_files(dir: &Path, fault: Option<SyncFault>) -> Result<Opened, OpenError> {
    let lock = DataDirLock::take(dir)?;
    finish_replacement(dir).map_err(StateError::from)?;
    let identity = Identity::load_or_create(dir)?;
    let settings = LogSettings {
        fault,
        ..LogSettings::default()
    };
    let log = LogStore::open(&dir.join("log"), settings)?;
    let files = SnapshotFiles::open(&dir.join("snapshots"))?;
    let (store, current): (StateStore, _) = WriteBehind::load(&dir.join("state"))?;
    let shared = Shared::new(current);
    let behind = WriteBehind::start(store, shared.clone())?;
    Ok(Opened {
        lock,
        identity,
        log,
        files,
        shared,
        behind,
    })
}

fn runtime() -> Result<Runtime, OpenError> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("raft")
        .enable_all()
        .build()
        .map_err(OpenError::Thread)
}

/// Leaves nothing running behind an error.
async fn give_up(runtime: Runtime, log: &LogStore, reason: String) -> OpenError {
    runtime.shutdown_background();
    log.close().await;
    OpenError::Raft(reason)
}
