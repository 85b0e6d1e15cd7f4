//! The second copy of the vote: a manager that forgets its vote may elect two leaders in one term.

use std::{fs, io, path::Path};

use raft_log::codeq::{Decode, Encode};

use super::VoteRecord;
use crate::{FileError, LogError, record, write_atomic};

const FILE: &str = "vote";

/// The stored vote. A damaged copy is reported and passed over: the log holds the other one.
pub(super) fn read(dir: &Path) -> Result<Option<VoteRecord>, LogError> {
    let path = dir.join(FILE);
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::of("read", &path)(error).into()),
    };
    let vote = record::open(FILE.as_bytes(), &sealed)
        .and_then(|mut value| VoteRecord::decode(&mut value).map_err(|error| error.to_string()));
    match vote {
        Ok(vote) => Ok(Some(vote)),
        Err(reason) => {
            tracing::warn!(file = %path.display(), reason, "the second copy of the vote is damaged and is written anew from the log");
            Ok(None)
        }
    }
}

/// Durable on return.
pub(super) fn write(dir: &Path, vote: &VoteRecord) -> Result<(), LogError> {
    let path = dir.join(FILE);
    let mut value = Vec::new();
    vote.encode(&mut value)
        .map_err(FileError::of("write", &path))?;
    Ok(write_atomic(&path, &record::seal(FILE.as_bytes(), &value))?)
}
