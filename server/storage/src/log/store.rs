use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    LogPosition, LogRecord, LogSummary, SyncFault, VoteRecord,
    engine::{self, Engine},
    meter::{SyncFigures, SyncMeter},
    opened::{BusySince, Log},
    owner::Owner,
    tail,
    thread::{self, Command},
    vote_file, watermark,
};
use crate::{FileError, LogError};

/// Calls that may wait for the log thread.
const QUEUE: usize = 4096;

/// Sizes, in bytes.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Entries kept in memory, for followers that are close behind.
    pub cache_bytes: usize,
    /// A log file is closed above this, and deleted once everything in it is purged.
    pub file_bytes: usize,
    /// Lets tests fail the next fsync.
    pub fault: Option<SyncFault>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            file_bytes: 16 * 1024 * 1024,
            fault: None,
        }
    }
}

/// Handle of the log. Clones share it. Appends take effect in the order in which they are made, and what is awaited
/// before them is done before them.
#[derive(Clone, Debug)]
pub struct LogStore {
    commands: mpsc::Sender<Command>,
    owner: Arc<Owner>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    busy_since: BusySince,
    meter: Arc<SyncMeter>,
}

impl LogStore {
    /// Opens the log in `dir`, verifies it, and starts its thread. Blocks while it reads.
    pub fn open(dir: &Path, settings: LogSettings) -> Result<Self, LogError> {
        // The engine complains about every file in its directory that is not its own.
        let wal = dir.join("wal");
        fs::create_dir_all(&wal).map_err(FileError::of("create", &wal))?;
        let fsynced = watermark::read(dir)?;
        tail::verify(&wal, fsynced)?;
        let log = engine::open(&wal, &settings).map_err(|error| LogError::Open {
            dir: wal.clone(),
            reason: error.to_string(),
        })?;
        verify_beginning(&wal, &log)?;
        let second_vote = vote_file::read(dir)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let busy_since = BusySince::default();
        let meter = Arc::<SyncMeter>::default();
        let owner = Log::open(
            dir.into(),
            log,
            settings,
            (busy_since.clone(), meter.clone()),
            second_vote,
        )?;
        let owned = owner.clone();
        let thread = std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || thread::run(&owned, queue))
            .map_err(FileError::of("start the log thread for", dir))?;
        Ok(Self {
            commands,
            owner,
            thread: Arc::new(Mutex::new(Some(thread))),
            busy_since,
            meter,
        })
    }

    /// Appends entries. Returns when they are queued; `done` runs when they are fsynced, or with the reason why not.
    pub async fn append(
        &self,
        records: Vec<LogRecord>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), LogError> {
        let mut records = records;
        match self.owner.append_now(&mut records, Box::new(done)) {
            Ok(()) => Ok(()),
            Err(done) => {
                self.owner.queue_append();
                self.send(Command::Append { records, done }).await
            }
        }
    }

    /// Durable on return, twice: in the log and in a file of its own.
    pub async fn save_vote(&self, vote: VoteRecord) -> Result<(), LogError> {
        self.ask(|done| Command::SaveVote { vote, done }).await?
    }

    /// Notes what is committed. Written with the next entries: it only shortens recovery.
    pub async fn save_committed(&self, committed: LogPosition) -> Result<(), LogError> {
        self.owner.note_committed(committed);
        Ok(())
    }

    /// Removes everything after `keep`, or everything. Durable on return.
    pub async fn truncate_after(&self, keep: Option<LogPosition>) -> Result<(), LogError> {
        self.ask(|done| Command::TruncateAfter { keep, done })
            .await?
    }

    /// Removes everything up to `upto`, inclusive. Durable on return.
    pub async fn purge(&self, upto: LogPosition) -> Result<(), LogError> {
        self.ask(|done| Command::Purge { upto, done }).await?
    }

    /// Entries of `from..to`, in order. Ends early when `max_bytes` are reached, but not before the first entry.
    pub async fn read(
        &self,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRecord>, LogError> {
        self.ask(|reply| Command::Read {
            from,
            to,
            max_bytes,
            reply,
        })
        .await?
    }

    /// The ends of the log.
    pub async fn summary(&self) -> Result<LogSummary, LogError> {
        self.ask(|reply| Command::Summary { reply }).await
    }

    /// How long fsyncs took since the start.
    pub fn syncs(&self) -> SyncFigures {
        self.meter.figures()
    }

    /// How long the disk has not answered an fsync; zero while none is waited for.
    pub fn stalled_for(&self) -> Duration {
        let since = *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Writes what is left, fsyncs and stops the thread. Later calls fail with [`LogError::Closed`].
    pub async fn close(&self) {
        let stopped = self.ask(|done| Command::Stop { done }).await;
        if stopped.is_ok() {
            let thread = self
                .thread
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .take();
            if let Some(thread) = thread {
                // It has answered and only has to drop its files.
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
    }

    async fn send(&self, command: Command) -> Result<(), LogError> {
        self.commands
            .send(command)
            .await
            .map_err(|_| LogError::Closed)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| LogError::Closed)
    }
}

/// The oldest file may be missing without a gap between the others; then the first entries after the purged ones are.
fn verify_beginning(wal: &Path, log: &Engine) -> Result<(), LogError> {
    let state = log.log_state();
    let Some(last) = state.last().map(|id| id.1) else {
        return Ok(());
    };
    let first = state.purged().map_or(0, |id| id.1 + 1);
    if first > last {
        return Ok(());
    }
    let found = log.read(first, first + 1).next();
    let reason = match found {
        Some(Ok(_)) => return Ok(()),
        Some(Err(error)) => error.to_string(),
        None => "the log file that held it is gone".into(),
    };
    Err(LogError::Damaged {
        file: wal.into(),
        offset: 0,
        reason: format!("entry {first} cannot be read: {reason}"),
    })
}
