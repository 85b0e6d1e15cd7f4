use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use krakend_domain::{ClusterState, Event, RecordKey};
use tokio::sync::{broadcast, watch};

use super::Checks;
use crate::types::{LogId, StoredMembership};

/// Batches of events that a slow subscriber may lag behind.
const EVENT_QUEUE: usize = 4096;

/// The applied state, shared by Raft, readers and the writer behind. The lock is held for moments only: readers take
/// a frozen copy, which shares structure with the living one.
#[derive(Debug)]
pub(crate) struct Shared {
    current: RwLock<Current>,
    applied: watch::Sender<u64>,
    events: broadcast::Sender<(u64, Arc<Vec<Event>>)>,
    pub(crate) checks: Arc<Checks>,
}

/// The state and where it stands, always changed together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    pub state: ClusterState,
    pub last_applied: Option<LogId>,
    pub membership: StoredMembership,
    /// Records that differ from those on disk.
    pub unwritten: Unwritten,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Unwritten {
    pub keys: HashSet<RecordKey>,
    /// Everything differs: a snapshot was installed.
    pub everything: bool,
    /// At least the position differs.
    pub any: bool,
}

impl Shared {
    pub(crate) fn new(current: Current) -> Arc<Self> {
        let index = current.last_applied.map_or(0, |it| it.index);
        Arc::new(Self {
            current: RwLock::new(current),
            applied: watch::Sender::new(index),
            events: broadcast::Sender::new(EVENT_QUEUE),
            checks: Arc::default(),
        })
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Current> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish_applied(&self, index: u64) {
        self.applied.send_replace(index);
    }

    pub(crate) fn publish_events(&self, index: u64, events: Vec<Event>) {
        if !events.is_empty() {
            // Nobody may be listening, and that is fine.
            let _ = self.events.send((index, Arc::new(events)));
        }
    }

    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<(u64, Arc<Vec<Event>>)> {
        self.events.subscribe()
    }
}
