use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::EntryPayload;

use crate::types::{Entry, LogId};

/// A follower that is this far behind reads from the log itself.
const KEEP_BYTES: usize = 8 * 1024 * 1024;
const KEEP_ENTRIES: usize = 16 * 1024;
/// What an entry takes besides its payload, roughly.
const OVERHEAD: usize = 96;

/// The log's newest entries as Raft wrote them: replication and apply read each of them moments later, and need
/// neither the log's thread nor another decoding for that. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    entries: Arc<Mutex<Entries>>,
}

/// Without gaps, oldest first.
#[derive(Debug, Default)]
struct Entries {
    queue: VecDeque<Entry>,
    bytes: usize,
}

fn size(entry: &Entry) -> usize {
    OVERHEAD
        + match &entry.payload {
            EntryPayload::Normal(payload) => payload.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

impl Entries {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn pop_front(&mut self) {
        self.bytes -= self.queue.pop_front().as_ref().map_or(0, size);
    }

    fn pop_back(&mut self) {
        self.bytes -= self.queue.pop_back().as_ref().map_or(0, size);
    }

    fn push(&mut self, entry: Entry) {
        let next = self.queue.back().map(|last| last.log_id.index + 1);
        if next.is_some_and(|next| next != entry.log_id.index) {
            self.clear();
        }
        self.bytes += size(&entry);
        self.queue.push_back(entry);
        while self.bytes > KEEP_BYTES || self.queue.len() > KEEP_ENTRIES {
            self.pop_front();
        }
    }
}

impl Recent {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, appended: &[Entry]) {
        let mut entries = self.entries();
        for entry in appended {
            entries.push(entry.clone());
        }
    }

    /// Forgets what the log forgets at its end.
    pub(crate) fn truncate_after(&self, keep: Option<&LogId>) {
        let mut entries = self.entries();
        while let Some(last) = entries.queue.back()
            && keep.is_none_or(|keep| last.log_id.index > keep.index)
        {
            entries.pop_back();
        }
    }

    pub(crate) fn purge(&self, upto: &LogId) {
        let mut entries = self.entries();
        while let Some(first) = entries.queue.front()
            && first.log_id.index <= upto.index
        {
            entries.pop_front();
        }
    }

    /// Entries `from..to`, at least one and then no more than `max_bytes`; `None` when not all of them are here.
    pub(crate) fn read(&self, from: u64, to: u64, max_bytes: usize) -> Option<Vec<Entry>> {
        let entries = self.entries();
        let first = entries.queue.front()?.log_id.index;
        let end = entries.queue.back()?.log_id.index + 1;
        if from < first || to > end || from >= to {
            return None;
        }
        let range = entries
            .queue
            .range((from - first) as usize..(to - first) as usize);
        let mut bytes = 0;
        let fitting = range.take_while(|entry| {
            let fits = bytes == 0 || bytes + size(entry) <= max_bytes;
            bytes += size(entry);
            fits
        });
        Some(fitting.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{codec, types::Payload};

    fn id(term: u64, index: u64) -> LogId {
        codec::log_id(krakend_storage::LogPosition { term, index })
    }

    fn entry(term: u64, index: u64, bytes: usize) -> Entry {
        Entry {
            log_id: id(term, index),
            payload: EntryPayload::Normal(Payload(Bytes::from(vec![0; bytes]))),
        }
    }

    fn indexes(read: Option<Vec<Entry>>) -> Option<Vec<u64>> {
        read.map(|entries| entries.iter().map(|it| it.log_id.index).collect())
    }

    #[test]
    fn what_was_appended_is_read_back_while_the_log_has_it() {
        let recent = Recent::default();
        assert_eq!(indexes(recent.read(0, 1, usize::MAX)), None);
        recent.append(&[entry(1, 5, 1), entry(1, 6, 1), entry(1, 7, 1)]);
        assert_eq!(indexes(recent.read(5, 8, usize::MAX)), Some(vec![5, 6, 7]));
        assert_eq!(indexes(recent.read(4, 6, usize::MAX)), None);
        assert_eq!(indexes(recent.read(6, 9, usize::MAX)), None);
        recent.truncate_after(Some(&id(1, 6)));
        assert_eq!(indexes(recent.read(5, 8, usize::MAX)), None);
        recent.append(&[entry(2, 7, 1)]);
        let read = recent.read(7, 8, usize::MAX).unwrap();
        assert_eq!(read[0].log_id, id(2, 7));
        recent.purge(&id(1, 5));
        assert_eq!(indexes(recent.read(5, 8, usize::MAX)), None);
        assert_eq!(indexes(recent.read(6, 8, usize::MAX)), Some(vec![6, 7]));
        recent.truncate_after(None);
        assert_eq!(indexes(recent.read(6, 7, usize::MAX)), None);
    }

    #[test]
    fn a_gap_forgets_what_was_before_it() {
        let recent = Recent::default();
        recent.append(&[entry(1, 1, 1), entry(1, 2, 1)]);
        recent.append(&[entry(1, 9, 1)]);
        assert_eq!(indexes(recent.read(1, 3, usize::MAX)), None);
        assert_eq!(indexes(recent.read(9, 10, usize::MAX)), Some(vec![9]));
    }

    #[test]
    fn bytes_are_bounded_and_a_read_gives_at_least_one_entry() {
        let recent = Recent::default();
        for index in 0..20 {
            recent.append(&[entry(1, index, 1024 * 1024)]);
        }
        assert_eq!(indexes(recent.read(12, 20, usize::MAX)), None);
        assert_eq!(indexes(recent.read(14, 20, 10)), Some(vec![14]));
        assert_eq!(
            indexes(recent.read(14, 20, 3 * 1024 * 1024)),
            Some(vec![14, 15])
        );
        assert!(recent.entries().bytes <= KEEP_BYTES);
    }
}
