//! The promise that everything before an offset of the log was fsynced, kept in a small file beside it.
//!
//! It is written now and then and not with each fsync: a low watermark only makes the log more forgiving about a
//! torn tail, never less durable.

use std::{fs, io, path::Path};

use crate::{FileError, LogError, record, write_atomic};

const FILE: &str = "watermark";

/// Offset in bytes, counted through all log files. 0 where nothing is promised.
pub(super) fn read(dir: &Path) -> Result<u64, LogError> {
    let path = dir.join(FILE);
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(FileError::of("read", &path)(error).into()),
    };
    let damaged = |reason: String| LogError::Damaged {
        file: path.clone(),
        offset: 0,
        reason,
    };
    let value = record::open(FILE.as_bytes(), &sealed).map_err(damaged)?;
    let bytes = value
        .try_into()
        .map_err(|_| damaged("it does not hold 8 bytes".into()))?;
    Ok(u64::from_le_bytes(bytes))
}

pub(super) fn write(dir: &Path, offset: u64) -> Result<(), FileError> {
    write_atomic(
        &dir.join(FILE),
        &record::seal(FILE.as_bytes(), &offset.to_le_bytes()),
    )
}
