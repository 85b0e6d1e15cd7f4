use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use raft_log::{api::raft_log_writer::RaftLogWriter, codeq::Span, types::Segment};
use tokio::sync::oneshot;

use super::{
    LogPosition, LogRecord, LogSettings, LogSummary, SyncFault, VoteRecord,
    engine::{Engine, Payload, SyncDone},
    meter::SyncMeter,
    owner::Owner,
    thread::Command,
    vote_file, watermark,
};
use crate::{LogError, failpoint};

/// How old the watermark on disk may grow while the log is written.
const WATERMARK_EVERY: Duration = Duration::from_secs(1);

/// More than an entry takes in the file beside its bytes.
const RECORD_HEAD: u64 = 128;

pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;
/// When the oldest fsync that has not returned was begun.
pub(super) type BusySince = Arc<Mutex<Option<Instant>>>;

pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// Why an fsync failed, if it did.
#[derive(Debug)]
pub(super) struct Synced(Option<String>);

/// Everything that is done to it in one turn is covered by one fsync.
pub(super) struct Log {
    dir: PathBuf,
    log: Engine,
    fault: SyncFault,
    /// For the engine's thread, which reports fsyncs.
    owner: Weak<Owner>,
    /// Whom to tell after the next fsync.
    waiting: Vec<Done>,
    sync_in_flight: bool,
    /// Since when something waits for the disk.
    busy_since: BusySince,
    meter: Arc<SyncMeter>,
    poisoned: Option<String>,
    end: u64,
    file_bytes: u64,
    /// Where the open file begins, `None` when nobody has looked.
    file_begin: Option<u64>,
    watermark: Arc<Mutex<Watermark>>,
}

/// How far the log is known to be on disk, by a file beside it.
struct Watermark {
    end: u64,
    written_at: Instant,
}

impl Log {
    pub(super) fn open(
        dir: PathBuf,
        log: Engine,
        settings: LogSettings,
        (busy_since, meter): (BusySince, Arc<SyncMeter>),
        second_vote: Option<VoteRecord>,
    ) -> Result<Arc<Owner>, LogError> {
        let owner = Arc::<Owner>::default();
        let mut opened = Self {
            dir,
            log,
            fault: settings.fault.unwrap_or_default(),
            owner: Arc::downgrade(&owner),
            waiting: Vec::new(),
            sync_in_flight: false,
            busy_since,
            meter,
            poisoned: None,
            end: 0,
            file_bytes: settings.file_bytes as u64,
            file_begin: None,
            watermark: Arc::new(Mutex::new(Watermark {
                end: 0,
                written_at: Instant::now(),
            })),
        };
        opened.reconcile_vote(second_vote)?;
        owner.give(opened);
        Ok(owner)
    }

    /// The newer copy of the vote wins: the file is written first, so it may be ahead by one.
    fn reconcile_vote(&mut self, second: Option<VoteRecord>) -> Result<(), LogError> {
        let first = self.log.log_state().vote().cloned();
        match (first, second) {
            (Some(first), second) if second.as_ref().is_none_or(|it| it.rank() < first.rank()) => {
                vote_file::write(&self.dir, &first)
            }
            (first, Some(second)) if first.as_ref() != Some(&second) => {
                let segment = self
                    .log
                    .save_vote(second)
                    .map_err(|error| refused("a vote", &error))?;
                self.end = end_of(segment);
                self.waiting.push(Box::new(drop));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes and fsyncs what is left, so that a clean stop leaves a log that needs no repair.
    pub(super) fn finish(&mut self) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let fault = self.fault.clone();
        let waiting = std::mem::take(&mut self.waiting);
        let done = SyncDone(Box::new(move |result| {
            let result = fault.apply(result);
            let clean = result.is_ok();
            tell(waiting, &result);
            let _ = sender.send(clean);
        }));
        if self.log.flush(true, Some(done)).is_ok() && receiver.recv() == Ok(true) {
            save_watermark(&self.dir, &self.watermark, self.end, Duration::ZERO);
        }
    }

    /// Takes note of an fsync that has ended, and begins the next one.
    pub(super) fn go_on(&mut self, owner: &Owner) {
        let synced = owner.take_synced();
        if let Some(Synced(failure)) = synced {
            self.sync_in_flight = false;
            if let Some(reason) = failure {
                self.poison(reason);
            }
        }
        if !self.waiting.is_empty()
            && self.has_bytes_left(RECORD_HEAD)
            && let Some(committed) = owner.take_committed()
        {
            self.save_committed(committed);
        }
        self.start_sync();
    }

    /// Returns whom to tell about the end, when this was the command to stop.
    pub(super) fn handle(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        match command {
            Command::Append { records, done } => self.append(records, done),
            Command::SaveVote { vote, done } => {
                set(&self.busy_since, Some(Instant::now()));
                // A vote must not outlive the entries that were written before it: a group whose first entry is lost
                // and whose vote is kept can never be begun again.
                self.sync_now();
                // The file first: if we stop in between, the newer vote is the one that counts.
                let written = vote_file::write(&self.dir, &vote);
                failpoint::reach("vote-file-written");
                self.write("a vote", done, |log| match written {
                    Ok(()) => log.save_vote(vote),
                    Err(error) => Err(error.into()),
                });
                set(&self.busy_since, None);
            }
            Command::TruncateAfter { keep, done } => {
                let last = self.log.log_state().last().copied();
                if last.map(LogPosition::from) <= keep {
                    let _ = done.send(Ok(()));
                    return None;
                }
                let from = keep.map_or(0, |keep| keep.index + 1);
                self.write("to truncate", done, |log| log.truncate(from));
            }
            Command::Purge { upto, done } => {
                failpoint::reach("log-purge");
                self.write("to purge", done, |log| log.purge(upto.into()));
                failpoint::reach("log-purged");
            }
            Command::Read {
                from,
                to,
                max_bytes,
                reply,
            } => {
                let _ = reply.send(self.read(from, to, max_bytes));
            }
            Command::Summary { reply } => {
                let _ = reply.send(self.summary());
            }
            Command::Stop { done } => return Some(done),
        }
        None
    }

    /// Whether these fit into the open file. A new one is begun by the log thread: making it waits for the disk.
    pub(super) fn has_room(&self, records: &[LogRecord]) -> bool {
        let bytes = records.iter().map(|it| it.bytes.len() as u64 + RECORD_HEAD);
        self.has_bytes_left(bytes.sum())
    }

    fn has_bytes_left(&self, bytes: u64) -> bool {
        let used = self.file_begin.and_then(|it| self.end.checked_sub(it));
        used.is_some_and(|used| used + bytes < self.file_bytes)
    }

    pub(super) fn find_file(&mut self) {
        self.file_begin = Some(self.log.stat().open_chunk.chunk_id.offset());
    }

    pub(super) fn append(&mut self, records: Vec<LogRecord>, done: Done) {
        if let Some(reason) = &self.poisoned {
            return done(Err(LogError::Poisoned(reason.clone()).into()));
        }
        failpoint::reach("log-append");
        let entries = records
            .into_iter()
            .map(|record| (record.position.into(), Payload(record.bytes)));
        match self.log.append(entries) {
            Ok(segment) => {
                failpoint::reach("log-appended");
                self.end = end_of(segment);
                self.waiting.push(done);
            }
            Err(error) => done(Err(refused("an entry", &error).into())),
        }
    }

    fn write(
        &mut self,
        what: &'static str,
        done: Reply<()>,
        action: impl FnOnce(&mut Engine) -> io::Result<Segment>,
    ) {
        if let Some(reason) = &self.poisoned {
            let _ = done.send(Err(LogError::Poisoned(reason.clone())));
            return;
        }
        match action(&mut self.log) {
            Ok(segment) => {
                self.end = end_of(segment);
                self.waiting.push(Box::new(move |result| {
                    let _ =
                        done.send(result.map_err(|error| LogError::Poisoned(error.to_string())));
                }));
            }
            Err(error) => {
                let _ = done.send(Err(refused(what, &error)));
            }
        }
    }

    /// Only a hint for recovery, so one that the log cannot hold yet is left out.
    pub(super) fn save_committed(&mut self, committed: LogPosition) {
        let state = self.log.log_state();
        let committed = committed.into();
        let fits = state.last().is_some_and(|last| committed <= *last)
            && state.committed().is_none_or(|saved| *saved < committed);
        if self.poisoned.is_none()
            && fits
            && let Ok(segment) = self.log.commit(committed)
        {
            self.end = end_of(segment);
        }
    }

    fn read(&self, from: u64, to: u64, max_bytes: usize) -> Result<Vec<LogRecord>, LogError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        if from >= to {
            return Ok(records);
        }
        for entry in self.log.read(from, to) {
            let (log_id, payload) = entry.map_err(|error| LogError::Open {
                dir: self.dir.clone(),
                reason: error.to_string(),
            })?;
            bytes += payload.0.len();
            if bytes > max_bytes && !records.is_empty() {
                break;
            }
            records.push(LogRecord {
                position: log_id.into(),
                bytes: payload.0,
            });
        }
        Ok(records)
    }

    fn summary(&self) -> LogSummary {
        let state = self.log.log_state();
        let position = |id: Option<&(u64, u64)>| id.map(|id| LogPosition::from(*id));
        LogSummary {
            last: position(state.last()),
            purged: position(state.purged()),
            committed: position(state.committed()),
            vote: state.vote().cloned(),
            bytes_on_disk: self.log.on_disk_size(),
            end_offset: self.end,
        }
    }

    /// Starts an fsync for everything that waits, unless one is in flight: then the next covers it.
    pub(super) fn start_sync(&mut self) {
        if self.sync_in_flight || self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let end = self.end;
        let fault = self.fault.clone();
        let owner = self.owner.clone();
        let (dir, watermark) = (self.dir.clone(), self.watermark.clone());
        let busy_since = self.busy_since.clone();
        let meter = self.meter.clone();
        let begun = Instant::now();
        set(&busy_since, Some(begun));
        let done = SyncDone(Box::new(move |result| {
            let result = fault.apply(result);
            failpoint::reach("log-synced");
            meter.note(begun.elapsed());
            let failure = result.as_ref().err().map(io::Error::to_string);
            set(&busy_since, None);
            tell(waiting, &result);
            let is_synced = failure.is_none();
            if let Some(owner) = owner.upgrade() {
                owner.report(Synced(failure));
            }
            // Here, where nobody waits: whoever appends must not stand still with the disk.
            if is_synced {
                save_watermark(&dir, &watermark, end, WATERMARK_EVERY);
            }
        }));
        match self.log.flush(true, Some(done)) {
            Ok(()) => self.sync_in_flight = true,
            Err(error) => self.poison(error.to_string()),
        }
    }

    /// Fsyncs what waits, and waits for it.
    fn sync_now(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let fault = self.fault.clone();
        let done = SyncDone(Box::new(move |result| {
            let result = fault.apply(result);
            let failure = result.as_ref().err().map(io::Error::to_string);
            tell(waiting, &result);
            let _ = sender.send(failure);
        }));
        let failure = match self.log.flush(true, Some(done)) {
            Ok(()) => receiver
                .recv()
                .unwrap_or_else(|_| Some("the log's own thread has ended".into())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = failure {
            self.poison(reason);
        }
    }

    /// After a failed fsync nobody knows what is on disk: nothing more is acknowledged.
    fn poison(&mut self, reason: String) {
        tracing::error!(dir = %self.dir.display(), reason, "the Raft log cannot be written");
        tell(
            std::mem::take(&mut self.waiting),
            &Err(io::Error::other(reason.clone())),
        );
        self.poisoned = Some(reason);
    }
}

/// Only a hint for the next start, so it need not be as new as the log.
fn save_watermark(dir: &Path, watermark: &Mutex<Watermark>, end: u64, every: Duration) {
    let mut watermark = watermark.lock().unwrap_or_else(PoisonError::into_inner);
    if end <= watermark.end || watermark.written_at.elapsed() < every {
        return;
    }
    watermark.written_at = Instant::now();
    match watermark::write(dir, end) {
        Ok(()) => {
            failpoint::reach("watermark-written");
            watermark.end = end;
        }
        Err(error) => tracing::warn!(%error, "the log's watermark was not written"),
    }
}

fn set(busy_since: &BusySince, to: Option<Instant>) {
    *busy_since.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

fn end_of(segment: Segment) -> u64 {
    *segment.end()
}

fn refused(what: &'static str, error: &io::Error) -> LogError {
    LogError::Refused {
        what,
        reason: error.to_string(),
    }
}

fn tell(waiting: Vec<Done>, result: &io::Result<()>) {
    for done in waiting {
        done(match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
    }
}
