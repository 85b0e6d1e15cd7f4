use bytes::Bytes;

/// Where an entry stands: the term that proposed it, then its index. Ordered in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    pub term: u64,
    pub index: u64,
}

/// One entry. What the bytes mean is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    pub position: LogPosition,
    pub bytes: Bytes,
}

/// A vote as stored. Term and commitment order it; the bytes are the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRecord {
    pub term: u64,
    /// A quorum has granted it.
    pub committed: bool,
    pub bytes: Vec<u8>,
}

impl VoteRecord {
    /// What must never go back.
    pub(crate) fn rank(&self) -> (u64, bool) {
        (self.term, self.committed)
    }
}

/// The ends of the log, all of them as of the last call that was sent to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    pub last: Option<LogPosition>,
    /// Everything up to here is gone, covered by a snapshot file.
    pub purged: Option<LogPosition>,
    pub committed: Option<LogPosition>,
    pub vote: Option<VoteRecord>,
    /// Size of all log files, in bytes.
    pub bytes_on_disk: u64,
    /// Where the next record goes, in bytes since the log was begun; never goes back. 0 before the first write
    /// after opening.
    pub end_offset: u64,
}
