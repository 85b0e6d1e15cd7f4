//! A manager's disk: what was fsynced lasts, what was written after that may be lost when the power goes.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use krakend_storage::{LogPosition, LogRecord, LogSummary, VoteRecord};
use tokio::sync::Notify;

use super::{Random, world::world};
use crate::store::Current;

/// One manager's disk. It outlives the runs of its process.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    content: Arc<Mutex<Content>>,
    dirty: Arc<Notify>,
}

#[derive(Default)]
struct Content {
    /// As a reader sees it.
    seen: Files,
    /// As it is after the power was gone.
    durable: Files,
    /// What lies between the two, oldest first.
    unsynced: Vec<Change>,
    waiting: Vec<Done>,
    /// The applied state, as the writer behind left it: a state of some earlier moment.
    state: Option<Current>,
    /// How long an fsync takes.
    sync_us: (u64, u64),
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

#[derive(Clone, Default)]
pub(super) struct Files {
    vote: Option<VoteRecord>,
    entries: BTreeMap<u64, LogRecord>,
    purged: Option<LogPosition>,
    committed: Option<LogPosition>,
    written: u64,
}

#[derive(Clone)]
pub(super) enum Change {
    Append(Vec<LogRecord>),
    Vote(VoteRecord),
    Committed(LogPosition),
    TruncateAfter(Option<LogPosition>),
    Purge(LogPosition),
}

impl Files {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Append(records) => {
                for record in records {
                    self.written += record.bytes.len() as u64;
                    self.entries.insert(record.position.index, record.clone());
                }
            }
            Change::Vote(vote) => self.vote = Some(vote.clone()),
            Change::Committed(committed) => self.committed = Some(*committed),
            Change::TruncateAfter(keep) => {
                self.entries.split_off(&keep.map_or(0, |it| it.index + 1));
            }
            Change::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(*upto));
            }
        }
    }
}

impl Disk {
    pub(super) fn new() -> Self {
        let disk = Self::default();
        disk.set_speed(false);
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slow disk takes a good part of an election timeout for an fsync.
    pub(super) fn set_speed(&self, slow: bool) {
        self.lock().sync_us = match slow {
            true => (20_000, 400_000),
            false => (100, 4_000),
        };
    }

    /// Writes, and has `done` called once it is fsynced.
    pub(super) fn write(&self, change: Change, done: Option<Done>) {
        let mut content = self.lock();
        content.seen.apply(&change);
        content.unsynced.push(change);
        content.waiting.extend(done);
        drop(content);
        self.dirty.notify_one();
    }

    /// Fsyncs, one at a time, for as long as the process lives; each covers everything that came before.
    pub(super) async fn sync_forever(self) {
        loop {
            self.dirty.notified().await;
            let (covered, done, (least, most)) = {
                let mut content = self.lock();
                let done = std::mem::take(&mut content.waiting);
                (content.unsynced.len(), done, content.sync_us)
            };
            if covered == 0 {
                continue;
            }
            let takes: Duration = world().random(|random| random.micros(least..most));
            world().sleep(takes).await;
            {
                let mut content = self.lock();
                let changes: Vec<Change> = content.unsynced.drain(..covered).collect();
                for change in &changes {
                    content.durable.apply(change);
                }
            }
            for done in done {
                done(Ok(()));
            }
        }
    }

    /// What the next run of the process finds. After a killed process that is everything it wrote; after a power loss,
    /// what was fsynced and any beginning of the rest.
    pub(super) fn crash(&self, power: bool, random: &mut Random) -> usize {
        let mut content = self.lock();
        let unsynced = std::mem::take(&mut content.unsynced);
        content.waiting.clear();
        let kept = match power {
            true => random.below(0..unsynced.len() as u64 + 1) as usize,
            false => unsynced.len(),
        };
        for change in &unsynced[..kept] {
            content.durable.apply(change);
        }
        content.seen = content.durable.clone();
        if power && random.percent(30) {
            content.state = None;
        }
        unsynced.len() - kept
    }

    /// The power is gone, and with it the newest entries; the applied state is not.
    pub(super) fn lose_entries(&self, state: Current, count: usize) {
        let mut content = self.lock();
        content.state = Some(state);
        for _ in 0..count {
            content.durable.entries.pop_last();
        }
        content.seen = content.durable.clone();
    }

    pub(super) fn keep_state(&self, state: Current) {
        self.lock().state = Some(state);
    }

    pub(super) fn state(&self) -> Current {
        let state = self.lock().state.clone();
        let mut state = state.unwrap_or_default();
        state.unwritten = Default::default();
        state
    }

    pub(super) fn read(&self, from: u64, to: u64, max_bytes: usize) -> Vec<LogRecord> {
        let content = self.lock();
        let mut bytes = 0;
        let all = content.seen.entries.range(from..to.max(from));
        let read = all.take_while(|(_, record)| {
            let first = bytes == 0;
            bytes += record.bytes.len().max(1);
            first || bytes <= max_bytes
        });
        read.map(|(_, record)| record.clone()).collect()
    }

    pub(super) fn summary(&self) -> LogSummary {
        let files = &self.lock().seen;
        let last = files.entries.last_key_value();
        LogSummary {
            last: last.map(|(_, it)| it.position).or(files.purged),
            purged: files.purged,
            committed: files.committed,
            vote: files.vote.clone(),
            bytes_on_disk: files.written,
            end_offset: files.written,
        }
    }
}
