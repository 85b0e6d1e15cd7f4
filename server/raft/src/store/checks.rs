use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use krakend_domain::ClusterState;
use sha2::{Digest as _, Sha256};

use crate::rt;

/// SHA-256 over every record of a state, in order.
pub(crate) type StateHash = [u8; 32];

/// Hashes that are remembered.
const KEEP: usize = 8;

/// The hashes of this manager's state at the newest entries where one was asked for.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    hashes: VecDeque<(u64, StateHash)>,
    /// One is being computed; another entry that comes meanwhile is passed over.
    busy: bool,
}

impl Checks {
    /// Begins to compute, on a thread of its own: the frozen state shares structure with the living one, which goes on.
    pub(crate) fn begin(self: &Arc<Self>, index: u64, frozen: ClusterState) {
        {
            let mut kept = self.lock();
            if kept.busy {
                return;
            }
            kept.busy = true;
        }
        let checks = self.clone();
        let spawned = rt::spawn_thread("state-hash", move || {
            let hash = hash(&frozen);
            let mut kept = checks.lock();
            kept.busy = false;
            kept.hashes.push_back((index, hash));
            while kept.hashes.len() > KEEP {
                kept.hashes.pop_front();
            }
        });
        if let Err(error) = spawned {
            self.lock().busy = false;
            tracing::warn!(%error, "the state is not compared this time");
        }
    }

    pub(crate) fn at(&self, index: u64) -> Option<StateHash> {
        let kept = self.lock();
        let found = kept.hashes.iter().find(|(at, _)| *at == index);
        found.map(|(_, hash)| *hash)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn hash(state: &ClusterState) -> StateHash {
    let mut hasher = Sha256::new();
    for (key, value) in state.records() {
        for part in [key, value] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
    }
    hasher.finalize().into()
}
