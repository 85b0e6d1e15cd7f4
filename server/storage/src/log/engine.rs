//! The engine's types, filled in with ours. The layouts written here are stored formats.

use std::{
    cmp::Ordering,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use raft_log::{
    Callback, Config, RaftLog, RaftLogRecord, Types,
    codeq::{Decode, Encode},
};

use super::{LogPosition, LogSettings, VoteRecord};

/// Longest entry that is believed: a length beyond this is damage, not a wish for memory.
const MAX_PAYLOAD_BYTES: u32 = 64 * 1024 * 1024;
const READ_BUFFER_BYTES: usize = 1024 * 1024;

pub(super) type Engine = RaftLog<EngineTypes>;
pub(super) type EngineRecord = RaftLogRecord<EngineTypes>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EngineTypes;

impl Types for EngineTypes {
    type LogId = (u64, u64);
    type LogPayload = Payload;
    type Vote = VoteRecord;
    type Callback = SyncDone;
    type UserData = String;

    fn log_index(log_id: &Self::LogId) -> u64 {
        log_id.1
    }

    fn payload_size(payload: &Self::LogPayload) -> u64 {
        payload.0.len() as u64
    }
}

/// Runs on the engine's thread after the fsync.
pub(super) struct SyncDone(pub Box<dyn FnOnce(io::Result<()>) + Send>);

impl Callback for SyncDone {
    fn send(self, result: io::Result<()>) {
        (self.0)(result);
    }
}

#[derive(Clone, Debug)]
pub(super) struct Payload(pub Bytes);

impl Encode for Payload {
    fn encode<W: Write>(&self, mut writer: W) -> io::Result<usize> {
        write_bytes(&mut writer, &self.0)
    }
}

impl Decode for Payload {
    fn decode<R: Read>(mut reader: R) -> io::Result<Self> {
        read_bytes(&mut reader).map(|bytes| Self(bytes.into()))
    }
}

impl PartialOrd for VoteRecord {
    /// Two votes of one rank count as equal here: which of them may replace the other is Raft's to know.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.rank().cmp(&other.rank()))
    }
}

impl Encode for VoteRecord {
    fn encode<W: Write>(&self, mut writer: W) -> io::Result<usize> {
        let mut written = self.term.encode(&mut writer)?;
        written += u8::from(self.committed).encode(&mut writer)?;
        written += write_bytes(&mut writer, &self.bytes)?;
        Ok(written)
    }
}

impl Decode for VoteRecord {
    fn decode<R: Read>(mut reader: R) -> io::Result<Self> {
        Ok(Self {
            term: u64::decode(&mut reader)?,
            committed: u8::decode(&mut reader)? != 0,
            bytes: read_bytes(&mut reader)?,
        })
    }
}

fn write_bytes(writer: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|length| *length <= MAX_PAYLOAD_BYTES)
        .ok_or_else(|| io::Error::other("an entry above 64 MiB cannot be logged"))?;
    let head = length.encode(&mut *writer)?;
    writer.write_all(bytes)?;
    Ok(head + bytes.len())
}

fn read_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u32::decode(&mut *reader)?;
    if length > MAX_PAYLOAD_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a length of {length} bytes is beyond the limit"),
        ));
    }
    // Grown by what is there, so that a flipped length does not allocate.
    let mut bytes = Vec::new();
    let found = reader.take(u64::from(length)).read_to_end(&mut bytes)?;
    if found < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Opens the engine, which replays all of its files.
pub(super) fn open(dir: &Path, settings: &LogSettings) -> io::Result<Engine> {
    let mut config = Config::new(dir.display());
    config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
    config.wal.chunk_max_size = Some(settings.file_bytes);
    // The engine would cut anything that does not decode; what may be cut is decided in `tail`.
    config.wal.truncate_incomplete_record = Some(false);
    // One fsync is in flight and the next covers all that came since, so waiting here only adds latency.
    config.wal.flush_batch_wait = Some(std::time::Duration::ZERO);
    // It begins an fsync from the thread that ended the one before, which therefore must not wait for room: what it
    // waits for is what that thread does next. What may be queued is bounded where entries come from.
    config.wal.flush_queue_max_bytes = Some(usize::MAX);
    config.log_cache_capacity = Some(settings.cache_bytes);
    RaftLog::open(Arc::new(config))
}

impl From<LogPosition> for (u64, u64) {
    fn from(position: LogPosition) -> Self {
        (position.term, position.index)
    }
}

impl From<(u64, u64)> for LogPosition {
    fn from((term, index): (u64, u64)) -> Self {
        Self { term, index }
    }
}
