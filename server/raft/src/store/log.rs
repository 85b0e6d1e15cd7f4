use std::{
    fmt, io,
    ops::{Bound, RangeBounds},
};

use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};

use super::{LogStore, Recent};
use crate::{
    codec,
    types::{Entry, LogId, TypeConfig, Vote},
};

/// Most that is read, and so sent, in one go. One entry may be larger.
const READ_BYTES: usize = 1024 * 1024;

/// Raft's view of the log. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LogStorage {
    log: LogStore,
    recent: Recent,
}

impl LogStorage {
    pub(crate) fn new(log: LogStore) -> Self {
        Self {
            log,
            recent: Recent::default(),
        }
    }

    async fn read(&self, from: u64, to: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        if let Some(entries) = self.recent.read(from, to, max_bytes) {
            return Ok(entries);
        }
        let records = self.log.read(from, to, max_bytes).await?;
        records.iter().map(codec::record_to_entry).collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStorage {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, to, usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        let vote = self.log.summary().await?.vote;
        vote.as_ref().map(codec::record_to_vote).transpose()
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStorage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let summary = self.log.summary().await?;
        Ok(LogState {
            last_purged_log_id: summary.purged.map(codec::log_id),
            last_log_id: summary.last.map(codec::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        #[cfg(any(test, feature = "planted-bugs"))]
        if crate::planted::has(crate::planted::Bug::VoteNotPersisted) {
            return Ok(());
        }
        Ok(self.log.save_vote(codec::vote_to_record(vote)?).await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.log.save_committed(codec::position(&committed)).await?;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.summary().await?.committed.map(codec::log_id))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let records: io::Result<Vec<_>> = entries.iter().map(codec::entry_to_record).collect();
        self.recent.append(&entries);
        #[cfg(any(test, feature = "planted-bugs"))]
        if crate::planted::has(crate::planted::Bug::AckBeforeFsync) {
            self.log.append(records?, drop).await?;
            callback.io_completed(Ok(()));
            return Ok(());
        }
        let done = move |result| callback.io_completed(result);
        Ok(self.log.append(records?, done).await?)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.recent.truncate_after(last_log_id.as_ref());
        let keep = last_log_id.as_ref().map(codec::position);
        Ok(self.log.truncate_after(keep).await?)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.recent.purge(&log_id);
        Ok(self.log.purge(codec::position(&log_id)).await?)
    }
}
