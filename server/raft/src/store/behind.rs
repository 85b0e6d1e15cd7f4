use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
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

/// Changes within this time become one batch, and within [`SHARE`] times what the last batch took to write: under load
/// most records change again before they are written, and the disk gets a fixed share of this machine.
const GATHER: Duration = Duration::from_millis(50);
const SHARE: u32 = 20;
/// A crash has the log replayed from the last batch on, so batches must not be too far apart.
const GATHER_AT_MOST: Duration = Duration::from_secs(5);
/// Changed records that room is kept for.
const MAX_EXPECTED: usize = 65_536;

/// Writes changed records to disk some moments after they were applied. A record that changes often is written once
/// for each batch, so the queue is never longer than the state is large.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How the writer learns that there is something to write. While it gathers it is left asleep.
#[derive(Debug, Default)]
struct Bell {
    heard: Mutex<Heard>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// The writer waits for the first change.
    idle: bool,
    dirty: bool,
    closed: bool,
}

impl Bell {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        let mut heard = self.heard();
        heard.dirty = true;
        if heard.idle {
            self.rung.notify_one();
        }
    }

    fn close(&self) {
        self.heard().closed = true;
        self.rung.notify_one();
    }

    /// Waits for a change, then for what comes within `gather`. True: nothing more will come.
    fn wait(&self, gather: Duration) -> bool {
        let mut heard = self.heard();
        heard.idle = true;
        let waiting = self.rung.wait_while(heard, |it| !it.dirty && !it.closed);
        heard = waiting.unwrap_or_else(PoisonError::into_inner);
        heard.idle = false;
        let gathering = self.rung.wait_timeout_while(heard, gather, |it| !it.closed);
        (heard, _) = gathering.unwrap_or_else(PoisonError::into_inner);
        heard.dirty = false;
        heard.closed
    }
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
        let bell = Arc::<Bell>::default();
        let listening = bell.clone();
        let thread = std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || run(&store, &shared, &listening))
            .map_err(OpenError::Thread)?;
        Ok(Arc::new(Self {
            bell,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Writes nothing: a simulation keeps the state itself.
    #[cfg(test)]
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self {
            bell: Arc::default(),
            thread: Mutex::default(),
        })
    }

    /// Says that there is something to write.
    pub(crate) fn wake(&self) {
        self.bell.ring();
    }

    /// Writes what is left and ends the thread. Blocks.
    pub(crate) fn close(&self) {
        self.bell.close();
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

impl Drop for WriteBehind {
    /// Whoever stops without closing leaves no thread behind.
    fn drop(&mut self) {
        self.bell.close();
    }
}

/// Two threads: this one takes what is to be written, under the lock that Raft waits for as well; the other writes it.
/// Neither has a low priority: a thread that does not get on with a write keeps the file system's journal open, and every
/// fsync of the log waits for that.
fn run(store: &StateStore, shared: &Shared, bell: &Bell) {
    let (work, to_write) = sync_channel(0);
    let (written, told) = sync_channel(1);
    std::thread::scope(move |scope| {
        let background = std::thread::Builder::new().name("state-disk".into());
        let background =
            background.spawn_scoped(scope, move || write_all(store, &to_write, &written));
        if let Err(error) = background {
            return tracing::error!(%error, "the applied state is not written: no thread for it");
        }
        let mut gather = GATHER;
        loop {
            let closed = bell.wait(gather);
            let begun = Instant::now();
            if let Some(frozen) = freeze(shared)
                && (work.send(frozen).is_err() || told.recv().is_err())
            {
                return;
            }
            gather = (begun.elapsed() * SHARE).clamp(GATHER, GATHER_AT_MOST);
            if closed {
                return;
            }
        }
    });
    if let Err(error) = store.flush() {
        tracing::warn!(%error, "the applied state was not flushed");
    }
}

/// Ends when there is no more work, or at the first failure.
fn write_all(store: &StateStore, work: &Receiver<Current>, written: &SyncSender<()>) {
    for frozen in work {
        if let Err(error) = write(store, frozen) {
            // Nothing is lost: after a restart the state is rebuilt from the last written position.
            tracing::error!(%error, "the applied state is not written any more; restart this manager when its disk is well again");
            return;
        }
        if written.send(()).is_err() {
            return;
        }
    }
}

/// Keys and state are taken together: a batch holds exactly the changes up to its position.
fn freeze(shared: &Shared) -> Option<Current> {
    let mut current = shared.write();
    let unwritten = std::mem::take(&mut current.unwritten);
    // As many are to be expected again: growing step by step costs the thread that applies.
    let expected = unwritten.keys.len().min(MAX_EXPECTED);
    current.unwritten.keys.reserve(expected);
    unwritten.any.then(|| Current {
        state: current.state.clone(),
        last_applied: current.last_applied,
        membership: current.membership.clone(),
        unwritten,
    })
}

fn write(store: &StateStore, frozen: Current) -> Result<(), StateError> {
    let Unwritten {
        keys, everything, ..
    } = frozen.unwritten;
    let meta = codec::encode(&(frozen.last_applied, frozen.membership)).unwrap_or_default();
    if everything {
        return store.replace(&meta, frozen.state.records());
    }
    // In the order of the tree, so that neighbours are written together.
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable();
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
