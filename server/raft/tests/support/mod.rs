//! Managers in one process, each with a directory, a port and a handle of its own.
#![allow(dead_code)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use krakend_domain::{Command, Digest, ManagerRecord, Role, TokenRecord};
use krakend_raft::{
    DiskSettings, GroupConfig, GroupHandle, ManagerNode, OpenError, Proposed, SnapshotSettings,
    SyncFault, Timers,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use uuid::Uuid;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

pub struct Manager {
    pub dir: TempDir,
    pub address: String,
    pub snapshots: SnapshotSettings,
    pub fault: SyncFault,
    pub timers: Timers,
    /// How far its clock is ahead of the right one, in milliseconds.
    pub ahead_ms: Arc<AtomicI64>,
    pub disk: DiskSettings,
    kept: Option<PathBuf>,
    running: Option<Running>,
}

struct Running {
    handle: GroupHandle,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Manager {
    /// Reserves a port and a directory; starts nothing.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self {
            dir: tempfile::tempdir().unwrap(),
            address,
            snapshots: SnapshotSettings::default(),
            fault: SyncFault::default(),
            timers: Timers::lan(),
            ahead_ms: Arc::default(),
            disk: DiskSettings::default(),
            kept: None,
            running: None,
        }
    }

    /// In a directory that outlives it, at the address where it was before.
    pub async fn in_dir(dir: &Path) -> Self {
        let mut manager = Self::new().await;
        std::fs::create_dir_all(dir).unwrap();
        let kept = dir.join("address");
        match std::fs::read_to_string(&kept) {
            Ok(address) => manager.address = address,
            Err(_) => std::fs::write(&kept, &manager.address).unwrap(),
        }
        manager.kept = Some(dir.into());
        manager
    }

    pub fn data_dir(&self) -> PathBuf {
        let dir = self.kept.as_deref().unwrap_or(self.dir.path());
        dir.join("data")
    }

    pub async fn start(&mut self) -> GroupHandle {
        self.try_start().await.unwrap()
    }

    pub async fn try_start(&mut self) -> Result<GroupHandle, OpenError> {
        let node = ManagerNode {
            name: format!("manager-{}", self.address),
            raft_address: self.address.clone(),
            node_address: String::new(),
            http_address: String::new(),
        };
        let mut config = GroupConfig::new(self.data_dir(), node);
        config.snapshots = self.snapshots;
        config.timers = self.timers;
        config.disk = self.disk.clone();
        config.sync_fault = Some(self.fault.clone());
        let ahead_ms = self.ahead_ms.clone();
        let skewed = move || clock().saturating_add_signed(ahead_ms.load(Ordering::Relaxed));
        let handle = GroupHandle::open(config, None, skewed).await?;
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = handle.clone();
        let server = tokio::spawn(async move {
            let until = async { drop(stopped.await) };
            serving.serve(listener, None, until).await.unwrap();
        });
        self.running = Some(Running {
            handle: handle.clone(),
            stop,
            server,
        });
        Ok(handle)
    }

    pub fn handle(&self) -> GroupHandle {
        self.running.as_ref().unwrap().handle.clone()
    }

    /// Stops without handing over, its port first.
    pub async fn crash(&mut self) {
        if let Some(running) = self.running.take() {
            drop(running.stop);
            running.server.await.unwrap();
            running.handle.crash().await;
        }
    }

    /// Stops as an operator's signal does.
    pub async fn shutdown(&mut self) {
        if let Some(running) = self.running.take() {
            running.handle.shutdown().await;
            drop(running.stop);
            running.server.await.unwrap();
        }
    }
}

/// Starts managers with some time in between, and forms their group.
pub async fn group(count: usize, snapshots: SnapshotSettings) -> Vec<Manager> {
    group_with(count, |manager| manager.snapshots = snapshots).await
}

/// The same with any settings.
pub async fn group_with(count: usize, set: impl Fn(&mut Manager)) -> Vec<Manager> {
    let mut managers = Vec::new();
    for _ in 0..count {
        let mut manager = Manager::new().await;
        set(&mut manager);
        managers.push(manager);
    }
    formed(managers).await
}

/// The same, each in a directory below `dir`.
pub async fn group_in(dir: &Path, count: usize, snapshots: SnapshotSettings) -> Vec<Manager> {
    let mut managers = Vec::new();
    for n in 0..count {
        let mut manager = Manager::in_dir(&dir.join(n.to_string())).await;
        manager.snapshots = snapshots;
        managers.push(manager);
    }
    formed(managers).await
}

pub async fn formed(mut managers: Vec<Manager>) -> Vec<Manager> {
    let peers: Vec<String> = managers.iter().map(|it| it.address.clone()).collect();
    let mut forming = Vec::new();
    for manager in &mut managers {
        let handle = manager.start().await;
        let peers = peers.clone();
        forming.push(tokio::spawn(async move {
            let expect = peers.len();
            let formed = tokio::time::timeout(PATIENCE, handle.form(&peers, expect)).await;
            formed.expect("the group forms").unwrap();
        }));
    }
    for formed in forming {
        formed.await.unwrap();
    }
    managers
}

pub fn bootstrap(group_id: Uuid) -> Command {
    Command::Bootstrap {
        group_id,
        first_token: TokenRecord {
            id: Uuid::new_v4(),
            name: "first".into(),
            role: Role::Admin,
            sha256: Digest([7; 32]),
            created_by: "test".into(),
            expires_ms: None,
        },
    }
}

/// A write that can be told apart from the others.
pub fn write(n: u64) -> Command {
    Command::RegisterManager(ManagerRecord {
        id: Uuid::from_u128(1),
        name: "register".into(),
        raft_address: String::new(),
        node_address: String::new(),
        http_address: String::new(),
        version: n.to_string(),
    })
}

/// What the register holds.
pub fn value(state: &krakend_domain::ClusterState) -> Option<u64> {
    let record = state.manager(Uuid::from_u128(1))?;
    record.version.parse().ok()
}

pub async fn propose(handle: &GroupHandle, command: Command) -> Proposed {
    handle.propose(command, soon()).await.unwrap()
}

/// The position of the manager that leads, once there is one that all of these agree on.
pub async fn leader(managers: &[Manager]) -> usize {
    let until = soon();
    loop {
        let running: Vec<_> = managers
            .iter()
            .enumerate()
            .filter(|(_, it)| it.running.is_some())
            .collect();
        let leaders: Vec<_> = running
            .iter()
            .map(|(_, it)| it.handle().stale().leader)
            .collect();
        if let Some(Some(first)) = leaders.first()
            && leaders.iter().all(|it| *it == Some(*first))
            && let Some((at, _)) = running
                .iter()
                .find(|(_, it)| it.handle().identity().manager_id == *first)
        {
            return *at;
        }
        assert!(Instant::now() < until, "no leader: {leaders:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a manager has applied an entry.
pub async fn applied(handle: &GroupHandle, index: u64) {
    let mut applied = handle.applied();
    let reached = applied.wait_for(|it| *it >= index);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("entry {index} is applied: {:?}", handle.status()))
        .unwrap();
}

pub async fn stop_all(mut managers: Vec<Manager>) {
    for manager in &mut managers {
        manager.crash().await;
    }
}
