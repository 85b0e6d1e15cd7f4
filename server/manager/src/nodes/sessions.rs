use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use krakend_domain::NodeId;
use tokio_util::sync::CancellationToken;

/// A session without a message for so long counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(4);

/// The sessions that this manager has, as leader.
#[derive(Default)]
pub struct Sessions {
    live: Mutex<HashMap<NodeId, Entry>>,
}

struct Entry {
    number: u64,
    heard: Instant,
    info: SessionInfo,
    cancel: CancellationToken,
    said_ms: u64,
}

/// What a node last said of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionInfo {
    pub ready: bool,
}

/// Ends its session's entry when dropped, unless a newer session has taken its place.
pub struct SessionGuard<'a> {
    sessions: &'a Sessions,
    node_id: NodeId,
    number: u64,
}

impl Sessions {
    /// A node has one session: the newer ends the older.
    pub fn begin(
        &self,
        node_id: NodeId,
        ready: bool,
        cancel: CancellationToken,
    ) -> SessionGuard<'_> {
        let mut live = self.lock();
        let number = live.get(&node_id).map_or(0, |old| {
            old.cancel.cancel();
            old.number + 1
        });
        let entry = Entry {
            number,
            heard: Instant::now(),
            info: SessionInfo { ready },
            cancel,
            said_ms: 0,
        };
        live.insert(node_id, entry);
        SessionGuard {
            sessions: self,
            node_id,
            number,
        }
    }

    pub fn is_live(&self, node_id: NodeId) -> bool {
        let live = self.lock();
        live.get(&node_id)
            .is_some_and(|entry| entry.heard.elapsed() < SILENT_AFTER)
    }

    pub fn info(&self, node_id: NodeId) -> Option<SessionInfo> {
        let live = self.lock();
        live.get(&node_id)
            .filter(|entry| entry.heard.elapsed() < SILENT_AFTER)
            .map(|entry| entry.info)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Entry>> {
        self.live
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SessionGuard<'_> {
    /// The node's boot clock, as it told it last: with a lease it gets that back, and charges the time since.
    pub fn said(&self, boot_ms: u64) {
        if let Some(entry) = self.sessions.lock().get_mut(&self.node_id)
            && entry.number == self.number
        {
            entry.said_ms = boot_ms;
        }
    }

    pub fn last_said(&self) -> u64 {
        let live = self.sessions.lock();
        live.get(&self.node_id).map_or(0, |entry| entry.said_ms)
    }

    /// A message came.
    pub fn heard(&self, ready: Option<bool>) {
        if let Some(entry) = self.sessions.lock().get_mut(&self.node_id)
            && entry.number == self.number
        {
            entry.heard = Instant::now();
            if let Some(ready) = ready {
                entry.info.ready = ready;
            }
        }
    }
}

impl Drop for SessionGuard<'_> {
    fn drop(&mut self) {
        let mut live = self.sessions.lock();
        if live
            .get(&self.node_id)
            .is_some_and(|entry| entry.number == self.number)
        {
            live.remove(&self.node_id);
        }
    }
}
