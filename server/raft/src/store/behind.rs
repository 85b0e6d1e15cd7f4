use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use krakend_domain::ClusterState;
use krakend_storage::{LoadedState, StateError, StateStore};

use super::{
    Shared,
    shared::{Current, Unwritten},
};
use crate::{
    codec,
    error::OpenError,
    types::{LogId, StoredMembership},
};

/// Changes within this time become one batch.
const GATHER: Duration = Duration::from_millis(50);

/// Writes changed records to disk some moments after they were applied. A record that changes often is written once
/// for each batch, so the queue is never longer than the state is large.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    wake: Mutex<Option<SyncSender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriteBehind {
    /// Reads the stored state. Damage is reported and the store emptied: Raft then rebuilds it from the newest
    /// snapshot file and the log.
    pub(crate) fn load(dir: &Path) -> Result<(StateStore, Current), OpenError> {
        let reason = match StateStore::open(dir) {
            Ok((store, loaded)) => match restore(loaded) {
                Ok(current) => return Ok((store, current)),
                Err(reason) => reason,
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            reason,
            "the applied state is rebuilt from snapshot file and log"
        );
        StateStore::delete(dir)?;
        let (store, _) = StateStore::open(dir)?;
        Ok((store, Current::default()))
    }

    pub(crate) fn start(store: StateStore, shared: Arc<Shared>) -> Result<Arc<Self>, OpenError> {
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || run(&store, &shared, &woken))
            .map_err(OpenError::Thread)?;
        Ok(Arc::new(Self {
            wake: Mutex::new(Some(wake)),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Writes nothing: a simulation keeps the state itself.
    #[cfg(test)]
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self {
            wake: Mutex::default(),
            thread: Mutex::default(),
        })
    }

    /// Says that there is something to write.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            // A full queue has said it already.
            let _ = wake.try_send(());
        }
    }

    /// Writes what is left and ends the thread. Blocks.
    pub(crate) fn close(&self) {
        drop(
            self.wake
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the state writer panicked; the state is rebuilt at the next start");
        }
    }
}

fn run(store: &StateStore, shared: &Shared, woken: &Receiver<()>) {
    loop {
        let closed = woken.recv().is_err();
        if !closed {
            // Gathers what comes soon after; ends at once when the group stops.
            let until = std::time::Instant::now() + GATHER;
            loop {
                let left = until.saturating_duration_since(std::time::Instant::now());
                match woken.recv_timeout(left) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
        }
        if let Err(error) = write(store, shared) {
            // Nothing is lost: after a restart the state is rebuilt from the last written position.
            tracing::error!(%error, "the applied state is not written any more; restart this manager when its disk is well again");
            return;
        }
        if closed {
            break;
        }
    }
    if let Err(error) = store.flush() {
        tracing::warn!(%error, "the applied state was not flushed");
    }
}

fn write(store: &StateStore, shared: &Shared) -> Result<(), StateError> {
    // Keys and state are taken together: a batch holds exactly the changes up to its position.
    let frozen = {
        let mut current = shared.write();
        let unwritten = std::mem::take(&mut current.unwritten);
        Current {
            state: current.state.clone(),
            last_applied: current.last_applied,
            membership: current.membership.clone(),
            unwritten,
        }
    };
    let Unwritten {
        keys,
        everything,
        any,
    } = frozen.unwritten;
    if !any {
        return Ok(());
    }
    let meta = codec::encode(&(frozen.last_applied, frozen.membership)).unwrap_or_default();
    if everything {
        return store.replace(&meta, frozen.state.records());
    }
    let changes = keys
        .iter()
        .map(|key| (key.to_bytes(), frozen.state.encode_record(key)));
    store.write(&meta, changes)
}

fn restore(loaded: LoadedState) -> Result<Current, String> {
    let Some(meta) = loaded.meta else {
        return match loaded.records.len() {
            0 => Ok(Current::default()),
            found => Err(format!("{found} records are stored without a position")),
        };
    };
    let (last_applied, membership): (Option<LogId>, StoredMembership) =
        codec::decode(&meta).map_err(|error: io::Error| error.to_string())?;
    let state = ClusterState::from_records(loaded.records).map_err(|error| error.to_string())?;
    Ok(Current {
        state,
        last_applied,
        membership,
        unwritten: Unwritten::default(),
    })
}
