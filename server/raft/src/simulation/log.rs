use std::{io, path::Path, time::Duration};

use krakend_storage::{
    LogError, LogPosition, LogRecord, LogSettings, LogSummary, SyncFigures, VoteRecord,
};
use tokio::sync::oneshot;

use super::disk::{Change, Disk};

/// The log as the rest of this crate knows it: the real one, or one on a simulated disk, which needs no thread.
#[derive(Clone, Debug)]
pub(crate) enum LogStore {
    Real(krakend_storage::LogStore),
    Simulated(Disk),
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl LogStore {
    pub(crate) fn open(dir: &Path, settings: LogSettings) -> Result<Self, LogError> {
        krakend_storage::LogStore::open(dir, settings).map(Self::Real)
    }

    pub(crate) async fn append(
        &self,
        records: Vec<LogRecord>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), LogError> {
        match self {
            Self::Real(log) => log.append(records, done).await,
            Self::Simulated(disk) => {
                disk.write(Change::Append(records), Some(Box::new(done)));
                Ok(())
            }
        }
    }

    pub(crate) async fn save_vote(&self, vote: VoteRecord) -> Result<(), LogError> {
        match self {
            Self::Real(log) => log.save_vote(vote).await,
            Self::Simulated(disk) => synced(disk, Change::Vote(vote)).await,
        }
    }

    pub(crate) async fn save_committed(&self, committed: LogPosition) -> Result<(), LogError> {
        match self {
            Self::Real(log) => log.save_committed(committed).await,
            Self::Simulated(disk) => {
                disk.write(Change::Committed(committed), None);
                Ok(())
            }
        }
    }

    pub(crate) async fn truncate_after(&self, keep: Option<LogPosition>) -> Result<(), LogError> {
        match self {
            Self::Real(log) => log.truncate_after(keep).await,
            Self::Simulated(disk) => synced(disk, Change::TruncateAfter(keep)).await,
        }
    }

    pub(crate) async fn purge(&self, upto: LogPosition) -> Result<(), LogError> {
        match self {
            Self::Real(log) => log.purge(upto).await,
            Self::Simulated(disk) => synced(disk, Change::Purge(upto)).await,
        }
    }

    pub(crate) async fn read(
        &self,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRecord>, LogError> {
        match self {
            Self::Real(log) => log.read(from, to, max_bytes).await,
            Self::Simulated(disk) => Ok(disk.read(from, to, max_bytes)),
        }
    }

    pub(crate) async fn summary(&self) -> Result<LogSummary, LogError> {
        match self {
            Self::Real(log) => log.summary().await,
            Self::Simulated(disk) => Ok(disk.summary()),
        }
    }

    pub(crate) fn syncs(&self) -> SyncFigures {
        match self {
            Self::Real(log) => log.syncs(),
            Self::Simulated(_) => SyncFigures::default(),
        }
    }

    pub(crate) fn stalled_for(&self) -> Duration {
        match self {
            Self::Real(log) => log.stalled_for(),
            Self::Simulated(_) => Duration::ZERO,
        }
    }

    pub(crate) async fn close(&self) {
        if let Self::Real(log) = self {
            log.close().await;
        }
    }
}

async fn synced(disk: &Disk, change: Change) -> Result<(), LogError> {
    let (done, synced) = oneshot::channel();
    let done = move |result| drop(done.send(result));
    disk.write(change, Some(Box::new(done)));
    match synced.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(LogError::Poisoned(error.to_string())),
        Err(_) => Err(LogError::Closed),
    }
}
