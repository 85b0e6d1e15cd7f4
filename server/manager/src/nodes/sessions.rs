use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use krakend_domain::NodeId;
use tokio_util::sync::CancellationToken;

/// A session without a message for so long counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(4);

/// A refused node asks again within a few seconds; one that does not has gone.
const WAITS_FOR: Duration = Duration::from_secs(20);
/// The same refusal is said again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
const MAX_REFUSED: usize = 10_000;

/// The sessions that this manager has, as leader, and whom it refused.
#[derive(Default)]
pub struct Sessions {
    live: Mutex<HashMap<NodeId, Entry>>,
    refused: Mutex<HashMap<NodeId, Refused>>,
}

/// A node without a seat.
struct Refused {
    name: String,
    said: Instant,
    asked: Instant,
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
        self.refused().remove(&node_id);
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

    /// There was no seat for a node. Whether that should be said: not at each of its attempts.
    pub fn refuse(&self, node_id: NodeId, name: &str) -> bool {
        let now = Instant::now();
        let mut refused = self.refused();
        refused.retain(|_, it| now.duration_since(it.asked) < REPEAT_AFTER * 2);
        if refused.len() >= MAX_REFUSED && !refused.contains_key(&node_id) {
            return false;
        }
        let known = refused.get_mut(&node_id);
        if let Some(known) = known {
            known.asked = now;
            let again = now.duration_since(known.said) >= REPEAT_AFTER;
            if again {
                known.said = now;
            }
            return again;
        }
        let first = Refused {
            name: name.into(),
            said: now,
            asked: now,
        };
        refused.insert(node_id, first);
        true
    }

    /// Names of the nodes that wait for a seat.
    pub fn waiting(&self) -> Vec<String> {
        let refused = self.refused();
        let waits = refused.values().filter(|it| it.asked.elapsed() < WAITS_FOR);
        let mut names: Vec<_> = waits.map(|it| it.name.clone()).collect();
        names.sort();
        names
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Refused>> {
        self.refused
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
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
