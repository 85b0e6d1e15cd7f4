//! Stored and sent bytes: a format marker, then postcard.

use std::io;

use krakend_domain::LogEntry;
use krakend_storage::{LogPosition, LogRecord, VoteRecord};
use serde::{Serialize, de::DeserializeOwned};

use crate::types::{Entry, LogId, Payload, Vote};

const FORMAT: u8 = 1;

pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_extend(value, vec![FORMAT]).map_err(io::Error::other)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    match bytes.split_first() {
        Some((&FORMAT, rest)) => {
            postcard::from_bytes(rest).map_err(|error| invalid(error.to_string()))
        }
        Some((&found, _)) => Err(invalid(format!(
            "format {found} is unknown, this program reads format {FORMAT}: use a newer version"
        ))),
        None => Err(invalid("there are no bytes".into())),
    }
}

pub(crate) fn payload(entry: &LogEntry) -> io::Result<Payload> {
    encode(entry).map(|bytes| Payload(bytes.into()))
}

pub(crate) fn entry_to_record(entry: &Entry) -> io::Result<LogRecord> {
    Ok(LogRecord {
        position: position(&entry.log_id),
        bytes: encode(&entry.payload)?.into(),
    })
}

pub(crate) fn record_to_entry(record: &LogRecord) -> io::Result<Entry> {
    let payload = decode(&record.bytes).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("log entry {}: {error}", record.position.index),
        )
    })?;
    Ok(Entry {
        log_id: log_id(record.position),
        payload,
    })
}

pub(crate) fn vote_to_record(vote: &Vote) -> io::Result<VoteRecord> {
    Ok(VoteRecord {
        term: vote.leader_id.term,
        committed: vote.committed,
        bytes: encode(vote)?,
    })
}

pub(crate) fn record_to_vote(record: &VoteRecord) -> io::Result<Vote> {
    decode(&record.bytes)
}

pub(crate) fn position(log_id: &LogId) -> LogPosition {
    LogPosition {
        term: log_id.leader_id.term,
        index: log_id.index,
    }
}

pub(crate) fn log_id(position: LogPosition) -> LogId {
    LogId::new_term_index(position.term, position.index)
}
