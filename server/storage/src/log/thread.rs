use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use raft_log::{api::raft_log_writer::RaftLogWriter, codeq::Span, types::Segment};
use tokio::sync::{mpsc, oneshot};

use super::{
    LogPosition, LogRecord, LogSummary, VoteRecord,
    engine::{Engine, Payload, SyncDone},
    meter::SyncMeter,
    vote_file, watermark,
};
use crate::{LogError, failpoint};

/// How old the watermark on disk may grow while the log is written.
const WATERMARK_EVERY: Duration = Duration::from_secs(1);

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;
/// When the oldest fsync that has not returned was begun.
pub(super) type BusySince = Arc<Mutex<Option<Instant>>>;
/// What is committed and not written yet.
pub(super) type Committed = Arc<Mutex<Option<LogPosition>>>;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(super) enum Command {
    Append {
        records: Vec<LogRecord>,
        done: Done,
    },
    SaveVote {
        vote: VoteRecord,
        done: Reply<()>,
    },
    TruncateAfter {
        keep: Option<LogPosition>,
        done: Reply<()>,
    },
    Purge {
        upto: LogPosition,
        done: Reply<()>,
    },
    Read {
        from: u64,
        to: u64,
        max_bytes: usize,
        reply: Reply<Vec<LogRecord>>,
    },
    Summary {
        reply: oneshot::Sender<LogSummary>,
    },
    /// An fsync has ended; how, is in the slot.
    Synced,
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// Makes fsyncs fail or hang, in tests of what follows from that.
#[derive(Clone, Debug, Default)]
pub struct SyncFault {
    failing: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
}

impl SyncFault {
    /// From now on no fsync succeeds.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    /// No fsync returns while this is set.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::SeqCst);
    }

    fn apply(&self, result: io::Result<()>) -> io::Result<()> {
        while self.stalled.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.failing.load(Ordering::SeqCst) {
            return Err(io::Error::other("fsync failed (injected)"));
        }
        result
    }
}

/// How far an fsync reached, or why it failed.
#[derive(Debug)]
struct Synced {
    end: u64,
    failure: Option<String>,
}

/// Owns the engine. Everything it does in one turn is covered by one fsync.
pub(super) struct LogThread {
    dir: PathBuf,
    log: Engine,
    fault: SyncFault,
    /// For the engine's thread, which reports fsyncs. Weak: it must not keep the queue open.
    reports: mpsc::WeakSender<Command>,
    /// Whom to tell after the next fsync.
    waiting: Vec<Done>,
    sync_in_flight: bool,
    /// Where the engine's thread leaves how an fsync went. A slot and not the queue, which may be full while this
    /// thread waits for the engine's.
    synced: Arc<Mutex<Option<Synced>>>,
    /// Since when something waits for the disk.
    busy_since: BusySince,
    meter: Arc<SyncMeter>,
    committed: Committed,
    poisoned: Option<String>,
    end: u64,
    watermark: u64,
    watermark_at: Instant,
}

impl LogThread {
    pub(super) fn new(
        dir: PathBuf,
        log: Engine,
        fault: Option<SyncFault>,
        reports: mpsc::WeakSender<Command>,
        (busy_since, meter, committed): (BusySince, Arc<SyncMeter>, Committed),
        second_vote: Option<VoteRecord>,
    ) -> Result<Self, LogError> {
        let mut thread = Self {
            dir,
            log,
            fault: fault.unwrap_or_default(),
            reports,
            waiting: Vec::new(),
            sync_in_flight: false,
            synced: Arc::default(),
            busy_since,
            meter,
            committed,
            poisoned: None,
            end: 0,
            watermark: 0,
            watermark_at: Instant::now(),
        };
        thread.reconcile_vote(second_vote)?;
        Ok(thread)
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

    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut stop = None;
        self.start_sync();
        while stop.is_none() {
            let Some(command) = queue.blocking_recv() else {
                break;
            };
            stop = self.handle(command);
            while stop.is_none() {
                let Ok(command) = queue.try_recv() else {
                    break;
                };
                stop = self.handle(command);
            }
            self.take_synced();
            self.start_sync();
        }
        self.finish(queue);
        drop(self);
        if let Some(done) = stop {
            let _ = done.send(());
        }
    }

    /// Writes and fsyncs what is left, so that a clean stop leaves a log that needs no repair.
    fn finish(&mut self, mut queue: mpsc::Receiver<Command>) {
        queue.close();
        self.save_committed();
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
            self.save_watermark(self.end);
        }
    }

    /// Returns whom to tell about the end, when this was the command to stop.
    fn handle(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
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
            Command::Synced => {}
            Command::Stop { done } => return Some(done),
        }
        None
    }

    fn append(&mut self, records: Vec<LogRecord>, done: Done) {
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
    fn save_committed(&mut self) {
        let committed = self.committed.lock();
        let Some(committed) = committed.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
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
    fn start_sync(&mut self) {
        if self.sync_in_flight || self.waiting.is_empty() {
            return;
        }
        self.save_committed();
        let waiting = std::mem::take(&mut self.waiting);
        let end = self.end;
        let fault = self.fault.clone();
        let reports = self.reports.clone();
        let slot = self.synced.clone();
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
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Synced { end, failure });
            if let Some(reports) = reports.upgrade() {
                // A full queue wakes the log thread as well.
                let _ = reports.try_send(Command::Synced);
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

    fn take_synced(&mut self) {
        let synced = self
            .synced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Synced { end, failure }) = synced else {
            return;
        };
        self.sync_in_flight = false;
        if let Some(reason) = failure {
            return self.poison(reason);
        }
        if end > self.watermark && self.watermark_at.elapsed() >= WATERMARK_EVERY {
            self.save_watermark(end);
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

    fn save_watermark(&mut self, end: u64) {
        self.watermark_at = Instant::now();
        match watermark::write(&self.dir, end) {
            Ok(()) => {
                failpoint::reach("watermark-written");
                self.watermark = end;
            }
            Err(error) => tracing::warn!(%error, "the log's watermark was not written"),
        }
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
