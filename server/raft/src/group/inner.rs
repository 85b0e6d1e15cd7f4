use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use krakend_proto::tls::LiveTls;
use krakend_storage::{DataDirLock, SnapshotFiles};
use openraft::{ServerState, async_runtime::WatchReceiver};
use tokio::{runtime::Handle, sync::watch};
use uuid::Uuid;

use super::{
    alarms::Alarms, gate::Gate, proposals::Proposals, read::ReadIndex, status::Leadership,
};
use crate::{
    network::{Local, Peers},
    rt,
    store::{LogStore, Shared, WriteBehind},
    timers::Timers,
    types::{Member, MemberId, Raft},
};

/// Between two attempts of something that waits for a leader.
pub(super) const RETRY: Duration = Duration::from_millis(20);

/// Everything behind a [`super::GroupHandle`].
pub(crate) struct Inner {
    pub(crate) raft: Raft,
    pub(crate) local: Arc<Local>,
    pub(crate) files: SnapshotFiles,
    pub(super) shared: Arc<Shared>,
    pub(super) log: LogStore,
    pub(super) behind: Arc<WriteBehind>,
    pub(super) peers: Peers,
    pub(super) tls: Option<LiveTls>,
    pub(super) timers: Timers,
    pub(super) leadership: watch::Sender<Leadership>,
    /// One step of forming at a time, ours or another manager's.
    pub(super) forming: tokio::sync::Mutex<()>,
    pub(super) alarms: Alarms,
    pub(super) proposals: Proposals,
    /// Where linearizable reads wait for the leader's commit index.
    pub(super) reads: Gate<ReadIndex>,
    /// Snapshots given to managers that ask for one: one at a time.
    pub(super) fetches: tokio::sync::Semaphore,
    pub(super) fault: watch::Sender<Option<String>>,
    pub(super) leader_changes: AtomicU64,
    /// The leader to whom a connection stands that tells of its end.
    pub(super) attended: watch::Sender<Option<MemberId>>,
    /// The leader whose process was seen to end, and its term.
    pub(super) dead: watch::Sender<Option<(MemberId, u64)>>,
    /// Where they run; a simulation has none.
    pub(super) threads: Option<Handle>,
    /// Raft's threads; gone after the stop.
    pub(super) runtime: Mutex<Option<rt::Pool>>,
    pub(super) lock: Mutex<Option<DataDirLock>>,
    /// Who answers what other managers relay to this one as leader.
    pub(super) relay: super::relay::Relay,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("id", &self.local.id())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn is_leader(&self) -> bool {
        self.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }

    /// The leader's id and where it is, when it is somebody else.
    pub(super) fn other_leader(&self) -> Option<(MemberId, Member)> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        if leader == metrics.id {
            return None;
        }
        let mut member = metrics.membership_config.get_node(&leader)?.clone();
        member.node.raft_address = self.local.book.raft_address(leader, &member);
        Some((leader, member))
    }

    pub(super) fn group_id(&self) -> Option<Uuid> {
        self.local.identity().group_id
    }

    /// Stops everything without handing over. Safe to call twice.
    pub(super) async fn stop(&self) {
        // An error means that it has stopped already.
        let _ = self.raft.shutdown().await;
        self.log.close().await;
        let behind = self.behind.clone();
        let _ = rt::spawn_blocking(move || behind.close()).await;
        self.stop_runtime();
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    fn stop_runtime(&self) {
        let runtime = self
            .runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_runtime();
    }
}
