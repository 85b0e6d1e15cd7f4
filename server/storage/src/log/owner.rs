use std::sync::{
    Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    LogPosition, LogRecord,
    opened::{Done, Log, Synced},
};

/// The log, for whoever has the turn: the log thread; the caller who appends, when nobody else works on the log, so
/// that an entry is on its way to the disk without another thread having to wake up; and the engine's thread after an
/// fsync, which begins the next one.
#[derive(Default)]
pub(super) struct Owner {
    /// `None` after the end.
    log: Mutex<Option<Log>>,
    /// Appends that wait for the log thread. While there are any, the next one has to wait as well.
    queued: AtomicUsize,
    /// How an fsync went. A slot of its own, because the engine's thread must not wait for the log: whoever has it may
    /// be waiting for the engine's thread.
    synced: Mutex<Option<Synced>>,
    /// What is committed and not written yet.
    committed: Mutex<Option<LogPosition>>,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl Owner {
    /// Once, when the log is open.
    pub(super) fn give(&self, log: Log) {
        *self.lock() = Some(log);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Log>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Log>>> {
        match self.log.try_lock() {
            Ok(log) => Some(log),
            Err(TryLockError::Poisoned(log)) => Some(log.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn synced(&self) -> MutexGuard<'_, Option<Synced>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends at once, unless somebody else works on the log; then `done` comes back.
    pub(super) fn append_now(&self, records: &mut Vec<LogRecord>, done: Done) -> Result<(), Done> {
        if self.queued.load(Ordering::Acquire) > 0 {
            return Err(done);
        }
        let Some(mut guard) = self.try_lock() else {
            return Err(done);
        };
        let Some(log) = guard.as_mut().filter(|it| it.has_room(records)) else {
            return Err(done);
        };
        log.append(std::mem::take(records), done);
        log.go_on(self);
        drop(guard);
        self.go_on();
        Ok(())
    }

    /// Keeps what is committed until something is written.
    pub(super) fn note_committed(&self, committed: LogPosition) {
        *self.committed() = Some(committed);
    }

    /// What was noted since the last time.
    pub(super) fn take_committed(&self) -> Option<LogPosition> {
        self.committed().take()
    }

    fn committed(&self) -> MutexGuard<'_, Option<LogPosition>> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that an append waits for the log thread.
    pub(super) fn queue_append(&self) {
        self.queued.fetch_add(1, Ordering::AcqRel);
    }

    /// Says that the log thread has done one that waited.
    pub(super) fn appended_queued(&self) {
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }

    /// How the last fsync went, once.
    pub(super) fn take_synced(&self) -> Option<Synced> {
        self.synced().take()
    }

    /// From the engine's thread, after each fsync.
    pub(super) fn report(&self, synced: Synced) {
        *self.synced() = Some(synced);
        self.go_on();
    }

    /// Looks after an fsync that has ended. When somebody else has the log, that one does it before it goes.
    pub(super) fn go_on(&self) {
        while self.synced().is_some() {
            let Some(mut guard) = self.try_lock() else {
                return;
            };
            let Some(log) = guard.as_mut() else { return };
            log.go_on(self);
        }
    }
}
