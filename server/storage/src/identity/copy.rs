//! The copy of the identity beside the log. It says whose log that is: a log that somebody put there, or took away,
//! must not be voted with.

use std::{fs, io, path::Path};

use super::{Identity, file};
use crate::{FileError, record, write_atomic};

const LOG_DIR: &str = "log";
const FILE: &str = "identity";

/// `None` where there is no copy; the error says why it cannot be read.
pub(super) fn read(dir: &Path) -> Result<Option<Identity>, String> {
    let path = dir.join(LOG_DIR).join(FILE);
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let content = record::open(FILE.as_bytes(), &sealed)?;
    file::decode(&path, content)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Does nothing where there is no log.
pub(super) fn write(dir: &Path, identity: &Identity) -> Result<(), FileError> {
    let log = dir.join(LOG_DIR);
    if !log.is_dir() {
        return Ok(());
    }
    let sealed = record::seal(FILE.as_bytes(), &file::encode(identity));
    // Each start comes by here, also on a full disk.
    if fs::read(log.join(FILE)).is_ok_and(|there| there == sealed) {
        return Ok(());
    }
    write_atomic(&log.join(FILE), &sealed)
}

/// Whether any log file lies in `dir`.
pub(super) fn has_log(dir: &Path) -> Result<bool, FileError> {
    let wal = dir.join(LOG_DIR).join("wal");
    let entries = match fs::read_dir(&wal) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::of("list", &wal)(error)),
    };
    Ok(entries
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|it| it == "wal")))
}
