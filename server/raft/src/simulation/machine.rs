//! A machine that a manager runs on: its disk stays, its process comes and goes.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use krakend_domain::{Command, Digest, Role, TokenRecord};
use krakend_storage::{DiskSpace, Identity, SnapshotFiles};
use openraft::async_runtime::WatchReceiver;
use uuid::Uuid;

use super::{
    disk::Disk,
    keeper::Keeper,
    log::LogStore,
    network::Place,
    world::{Host, World, world},
};
use crate::{
    codec,
    group::{DiskSettings, GroupConfig, GroupHandle, Opened, SnapshotSettings},
    rt,
    store::{Shared, WriteBehind},
    types::ManagerNode,
};

/// Noon of some day; the clocks of all machines begin there.
const NOON_MS: u64 = 1_800_000_000_000;

/// Clones are the same machine.
#[derive(Clone)]
pub(super) struct Machine(Arc<Parts>);

struct Parts {
    place: Place,
    id: Uuid,
    dir: PathBuf,
    disk: Disk,
    peers: Vec<String>,
    expect: usize,
    /// How far its clock is off.
    ahead_ms: Arc<AtomicI64>,
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    host: Option<Host>,
    group: Option<GroupHandle>,
}

pub(super) fn address(place: Place) -> String {
    format!("machine-{place}:7001")
}

fn node(place: Place) -> ManagerNode {
    ManagerNode {
        name: format!("machine-{place}"),
        raft_address: address(place),
        node_address: String::new(),
        http_address: String::new(),
    }
}

impl Machine {
    /// An empty one. It forms its group with `peers`, or, where it expects no others, joins theirs.
    pub(super) fn new(place: Place, dir: PathBuf, peers: Vec<String>, expect: usize) -> Self {
        let mut identity = Identity::fresh();
        identity.manager_id = rt::new_id();
        identity.store_id = rt::new_id();
        std::fs::create_dir_all(&dir).expect("a directory");
        identity.save(&dir).expect("an identity");
        world().net().listen(&address(place), place, None);
        Self(Arc::new(Parts {
            place,
            id: identity.manager_id,
            dir,
            disk: Disk::new(),
            peers,
            expect,
            ahead_ms: Arc::default(),
            process: Mutex::default(),
        }))
    }

    pub(super) fn place(&self) -> Place {
        self.0.place
    }

    pub(super) fn id(&self) -> Uuid {
        self.0.id
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.0
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The manager that runs here, once it has opened its data.
    pub(super) fn group(&self) -> Option<(Host, GroupHandle)> {
        let process = self.process();
        process.host.zip(process.group.clone())
    }

    pub(super) fn host(&self) -> Option<Host> {
        self.process().host
    }

    pub(super) fn leads(&self) -> bool {
        self.group()
            .is_some_and(|(_, group)| group.leadership().borrow().is_me)
    }

    pub(super) fn set_clock(&self, ahead_ms: i64) {
        self.0.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    pub(super) fn set_slow_disk(&self, slow: bool) {
        self.0.disk.set_speed(slow);
    }

    /// Starts the manager, unless it runs.
    pub(super) fn start(&self) {
        let world = world();
        if self.host().is_some() {
            return;
        }
        let host = world.new_host();
        self.process().host = Some(host);
        world.net().belongs(host, self.place());
        world.net().set_dark(self.place(), false);
        world.note("start", &[self.place(), host.0]);
        let machine = self.clone();
        world.spawn(host, async move { machine.run(host).await });
    }

    /// Ends the manager's process at once; with the power gone, what was not fsynced may be gone as well.
    pub(super) fn crash(&self, power: bool) {
        let world = world();
        let Process { host, group } = std::mem::take(&mut *self.process());
        let Some(host) = host else { return };
        world
            .net()
            .listen(&address(self.place()), self.place(), None);
        world.net().set_dark(self.place(), power);
        world.end(host);
        drop(group);
        let lost = world.random(|random| self.0.disk.crash(power, random));
        world.note("crash", &[self.place(), u64::from(power), lost as u64]);
    }

    /// The process and the newest entries of its log are gone; what it had applied is on disk.
    pub(super) fn lose_entries(&self, count: usize) {
        let Some((_, group)) = self.group() else {
            return;
        };
        let state = group.current();
        drop(group);
        self.crash(false);
        self.0.disk.lose_entries(state, count);
    }

    async fn run(&self, host: Host) {
        let world = world();
        world.spawn(host, self.0.disk.clone().sync_forever());
        let opened = match self.open().await {
            Ok(opened) => opened,
            Err(error) => return world.fail(format!("machine {}: {error}", self.place())),
        };
        let shared = opened.shared.clone();
        let ahead_ms = self.0.ahead_ms.clone();
        let clock_world = world.clone();
        let clock = move || {
            let now_ms = NOON_MS + clock_world.elapsed().as_millis() as u64;
            now_ms.saturating_add_signed(ahead_ms.load(Ordering::Relaxed))
        };
        let group = GroupHandle::simulated(self.config(), opened, Arc::new(clock)).await;
        let group = match group {
            Ok(group) => group,
            Err(error) => return world.fail(format!("machine {}: {error}", self.place())),
        };
        let served = group.service(None);
        world
            .net()
            .listen(&address(self.place()), self.place(), Some((host, served)));
        self.process().group = Some(group.clone());
        world.spawn(host, watch_leader(world.clone(), group.clone()));
        world.spawn(host, keep_state(world.clone(), self.0.disk.clone(), shared));
        world.spawn(
            host,
            watch_fault(world.clone(), self.place(), group.clone()),
        );
        world.spawn(host, lead(group.clone()));
        if let Err(error) = group.form(&self.0.peers, self.0.expect).await {
            world.fail(format!("machine {} forms no group: {error}", self.place()));
        }
    }

    async fn open(&self) -> Result<Opened, crate::error::OpenError> {
        let identity = Identity::load_or_create(&self.0.dir)?;
        let files = SnapshotFiles::open(&self.0.dir.join("snapshots"))?;
        let snapshot = files.newest_verified(drop)?.map(|it| it.position);
        let current = self.0.disk.state();
        let applied = current.last_applied.as_ref().map(codec::position);
        Ok(Opened {
            lock: None,
            identity,
            log: LogStore::Simulated(self.0.disk.clone()),
            files,
            shared: Shared::new(current),
            behind: WriteBehind::none(),
            others: self.others(),
            have: applied.max(snapshot),
        })
    }

    fn others(&self) -> Vec<String> {
        let own = address(self.place());
        let others = self.0.peers.iter().filter(|it| **it != own);
        others.cloned().collect()
    }

    fn config(&self) -> GroupConfig {
        let mut config = GroupConfig::new(self.0.dir.clone(), node(self.place()));
        config.peers = self.0.peers.clone();
        config.snapshots = SnapshotSettings {
            every_bytes: 4 * 1024,
            every: Duration::from_secs(3),
            keep_entries: 8,
            look_every: Duration::from_millis(500),
        };
        config.disk = DiskSettings {
            reserve_bytes: Some(0),
            probe: Arc::new(|_| {
                Ok(DiskSpace {
                    total: 1 << 40,
                    available: 1 << 39,
                })
            }),
            ..DiskSettings::default()
        };
        config.check_every = Duration::from_secs(4);
        config
    }
}

/// Tells each term in which this manager leads.
async fn watch_leader(world: World, group: GroupHandle) {
    let mut metrics = group.metrics();
    loop {
        let now = {
            let metrics = metrics.borrow_watched();
            let leads = metrics.state == openraft::ServerState::Leader;
            leads.then_some((metrics.vote.leader_id.term, metrics.id.0))
        };
        if let Some((term, id)) = now {
            world.checks().leads(term, id);
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// What sled is for: the applied state on disk, some moments old.
async fn keep_state(world: World, disk: Disk, shared: Arc<Shared>) {
    loop {
        let pause = world.random(|random| random.millis(50..900));
        world.sleep(pause).await;
        disk.keep_state(shared.read().clone());
    }
}

async fn watch_fault(world: World, place: Place, group: GroupHandle) {
    let reason = group.fatal().await;
    world.fail(format!("machine {place}: Raft has died: {reason}"));
}

/// What the manager's control loops do while it leads.
async fn lead(group: GroupHandle) {
    let mut leadership = group.leadership();
    loop {
        let now = *leadership.borrow_and_update();
        if now.is_me {
            begin_term(&group, now.term).await;
            let mut keeper = Keeper::new();
            while group.leadership().borrow().is_me {
                keeper.step(&group).await;
                rt::sleep(Duration::from_millis(250)).await;
            }
        } else if leadership.changed().await.is_err() {
            return;
        }
    }
}

async fn begin_term(group: &GroupHandle, term: u64) {
    let soon = || rt::Instant::now() + Duration::from_secs(5);
    if group.stale().state.meta().group_id.is_none() {
        let group_id = group.group_id().unwrap_or_default();
        let first = Command::Bootstrap {
            group_id,
            first_token: TokenRecord {
                id: group_id,
                name: "admin".into(),
                role: Role::Admin,
                sha256: Digest([7; 32]),
                created_by: "bootstrap".into(),
                expires_ms: None,
            },
        };
        // Whoever leads next tries again.
        let _ = group.propose(first, soon()).await;
    }
    let elected = Command::LeaderElected {
        manager_id: group.identity().manager_id,
        term,
    };
    let _ = group.propose(elected, soon()).await;
}
