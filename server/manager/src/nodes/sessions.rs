use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use krakend_domain::NodeId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    questions::{Asked, Questions},
    waiting::Queue,
};

/// A session without a message for so long counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(4);

/// A refused node asks again within a few seconds; one that does not has gone.
const WAITS_FOR: Duration = Duration::from_secs(20);
/// The same refusal is said again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
const MAX_REFUSED: usize = 10_000;

/// Twins are shown for so long after both were seen.
const TWINS_LAST: Duration = Duration::from_secs(120);
/// Beyond so many ids, those of which nothing was heard for an hour are forgotten.
const MAX_RUNS: usize = 8_192;
const FORGET_RUNS: Duration = Duration::from_secs(3_600);

/// The sessions that this manager has, as leader, and whom it refused.
#[derive(Default)]
pub struct Sessions {
    live: Mutex<HashMap<NodeId, Entry>>,
    refused: Mutex<HashMap<NodeId, Refused>>,
    runs: Mutex<HashMap<NodeId, Runs>>,
    pub(super) queue: Queue,
}

/// A node without a seat.
struct Refused {
    name: String,
    said: Instant,
    asked: Instant,
    /// Who asked first has the lower one.
    order: u64,
}

/// Which processes have held sessions under one id. A process that ended never comes back under its run's id; one
/// that does, after another had its place, lives beside that other one.
struct Runs {
    now: (Uuid, String),
    before: Option<(Uuid, String)>,
    twins: Option<Instant>,
    touched: Instant,
}

/// An id that two processes use: where each is, and the milliseconds since both were last seen.
pub type TwinSessions = (NodeId, String, String, u64);

struct Entry {
    number: u64,
    heard: Instant,
    info: SessionInfo,
    cancel: CancellationToken,
    said_ms: u64,
    questions: mpsc::Sender<Asked>,
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
    /// Notes which process begins a session, and where it is. True when two processes turn out to share the id.
    pub fn note_run(&self, node_id: NodeId, run: Uuid, address: &str) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MAX_RUNS {
            runs.retain(|_, it| it.touched.elapsed() < FORGET_RUNS);
        }
        let now = (run, address.to_owned());
        let touched = Instant::now();
        let Some(known) = runs.get_mut(&node_id) else {
            let fresh = Runs {
                now,
                before: None,
                twins: None,
                touched,
            };
            runs.insert(node_id, fresh);
            return false;
        };
        known.touched = touched;
        if known.now.0 == run {
            return false;
        }
        let returned = known.before.as_ref().is_some_and(|it| it.0 == run);
        known.before = Some(std::mem::replace(&mut known.now, now));
        let first = returned && known.twins.is_none_or(|at| at.elapsed() > TWINS_LAST);
        if returned {
            known.twins = Some(touched);
        }
        first
    }

    /// Ids that two processes have used within the last minutes.
    pub fn twins(&self) -> Vec<TwinSessions> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = runs.iter().filter_map(|(id, it)| {
            let age = it.twins?.elapsed();
            let (_, before) = it.before.as_ref()?;
            let shown = (
                *id,
                it.now.1.clone(),
                before.clone(),
                age.as_millis() as u64,
            );
            (age < TWINS_LAST).then_some(shown)
        });
        seen.collect()
    }

    /// A node has one session: the newer ends the older.
    pub fn begin(
        &self,
        node_id: NodeId,
        ready: bool,
        cancel: CancellationToken,
    ) -> (SessionGuard<'_>, Questions) {
        self.refused().remove(&node_id);
        let mut live = self.lock();
        let number = live.get(&node_id).map_or(0, |old| {
            old.cancel.cancel();
            old.number + 1
        });
        let (questions, asked) = Questions::new();
        let entry = Entry {
            number,
            heard: Instant::now(),
            info: SessionInfo { ready },
            cancel,
            said_ms: 0,
            questions,
        };
        live.insert(node_id, entry);
        let guard = SessionGuard {
            sessions: self,
            node_id,
            number,
        };
        (guard, asked)
    }

    /// Where the node is asked things; `None` without a session that lives.
    pub fn questions(&self, node_id: NodeId) -> Option<mpsc::Sender<Asked>> {
        let live = self.lock();
        live.get(&node_id)
            .filter(|entry| entry.heard.elapsed() < SILENT_AFTER)
            .map(|entry| entry.questions.clone())
    }

    /// Milliseconds since the newest message of the node, where it has a session here.
    pub fn heard_ms_ago(&self, node_id: NodeId) -> Option<u64> {
        let live = self.lock();
        let heard = live.get(&node_id)?.heard;
        Some(heard.elapsed().as_millis() as u64)
    }

    /// Milliseconds since two processes were last seen to share this id, within the last minutes.
    pub fn twin_seen_ms_ago(&self, node_id: NodeId) -> Option<u64> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let age = runs.get(&node_id)?.twins?.elapsed();
        (age < TWINS_LAST).then_some(age.as_millis() as u64)
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
            order: self.queue.next_order(),
        };
        refused.insert(node_id, first);
        true
    }

    /// When a node that was refused lately asked first, as a number; it still waits.
    pub(super) fn waits(&self, node_id: NodeId) -> Option<u64> {
        let mut refused = self.refused();
        let known = refused.get_mut(&node_id)?;
        if known.asked.elapsed() >= WAITS_FOR {
            return None;
        }
        known.asked = Instant::now();
        Some(known.order)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_returns_after_another_is_told_from_one_that_restarted() {
        let sessions = Sessions::default();
        let id = NodeId(Uuid::from_u128(1));
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        for run in [one, one, two, three] {
            assert!(!sessions.note_run(id, run, "10.0.0.1:8080"), "restarts");
        }
        assert!(sessions.twins().is_empty());
        assert!(sessions.note_run(id, two, "10.0.0.2:8080"), "it lives");
        assert!(!sessions.note_run(id, three, "10.0.0.1:8080"), "told once");
        let twins = sessions.twins();
        assert_eq!(twins.len(), 1);
        assert_eq!(
            (twins[0].1.as_str(), twins[0].2.as_str()),
            ("10.0.0.1:8080", "10.0.0.2:8080")
        );
    }
}
