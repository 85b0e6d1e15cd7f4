//! What a crash may leave at the end of the log, and what it may not.
//!
//! A record that was being written when the power went is torn: it was never acknowledged and may be cut. It can
//! only lie beyond the fsynced watermark, and nothing valid can follow it. Everything else is damage, and cutting it
//! would forget entries that others count on.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use raft_log::codeq::Decode;

use super::engine::EngineRecord;
use crate::{FileError, LogError};

/// One log file and the offset it starts at: that is its name.
struct LogFile {
    start: u64,
    path: PathBuf,
}

/// Verifies every record of every log file, and cuts a torn tail. Says how many bytes were cut.
pub(super) fn verify(dir: &Path, watermark: u64) -> Result<u64, LogError> {
    let mut files = log_files(dir)?;
    let Some(newest) = files.pop() else {
        return match watermark {
            0 => Ok(0),
            _ => Err(LogError::Damaged {
                file: dir.into(),
                offset: 0,
                reason: format!("there is no log file, but {watermark} bytes had been fsynced"),
            }),
        };
    };
    for (n, file) in files.iter().enumerate() {
        let next = files.get(n + 1).unwrap_or(&newest);
        verify_closed(file, next.start)?;
    }
    verify_newest(&newest, watermark)
}

/// A file that is not the newest is complete: all of it is valid, and the next begins where it ends. A machine that
/// loses power in the moment in which one file follows another may be taken for damaged; that is the safe side.
fn verify_closed(file: &LogFile, next_start: u64) -> Result<(), LogError> {
    let content = fs::read(&file.path).map_err(FileError::of("read", &file.path))?;
    let prefix = valid_prefix(&content);
    let damaged = |reason: String| LogError::Damaged {
        file: file.path.clone(),
        offset: prefix.bytes as u64,
        reason,
    };
    if let Some(failure) = &prefix.failure {
        return Err(damaged(format!(
            "record {} does not decode: {failure}",
            prefix.records
        )));
    }
    let end = file.start + content.len() as u64;
    if end != next_start {
        return Err(damaged(format!(
            "it ends at offset {end}, but the next log file begins at {next_start}"
        )));
    }
    Ok(())
}

fn verify_newest(file: &LogFile, watermark: u64) -> Result<u64, LogError> {
    let (start, path) = (file.start, &file.path);
    let content = fs::read(path).map_err(FileError::of("read", path))?;
    let prefix = valid_prefix(&content);
    let valid = prefix.bytes;
    let damaged = |reason: String| LogError::Damaged {
        file: path.clone(),
        offset: valid as u64,
        reason,
    };
    if start + (valid as u64) < watermark {
        return Err(damaged(match prefix.failure {
            Some(failure) => format!(
                "record {}, which had been fsynced, does not decode: {failure}",
                prefix.records
            ),
            None => format!(
                "the log ends at offset {}, but {watermark} bytes had been fsynced",
                start + valid as u64
            ),
        }));
    }
    let Some(failure) = prefix.failure else {
        return Ok(0);
    };
    if let Some(next) = next_valid(&content, valid + 1) {
        return Err(damaged(format!(
            "record {} does not decode ({failure}), but a valid record follows at byte {next}",
            prefix.records
        )));
    }
    let cut = (content.len() - valid) as u64;
    tracing::warn!(file = %path.display(), offset = valid, bytes = cut, "cutting a record that was being written when the manager stopped; it was never acknowledged");
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(FileError::of("open", path))?;
    file.set_len(valid as u64)
        .and_then(|()| file.sync_all())
        .map_err(FileError::of("cut", path))?;
    Ok(cut)
}

/// The log files, oldest first.
fn log_files(dir: &Path) -> Result<Vec<LogFile>, LogError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(FileError::of("list", dir))? {
        let path = entry.map_err(FileError::of("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(start) = name.and_then(start_of) {
            files.push(LogFile { start, path });
        }
    }
    files.sort_by_key(|file| file.start);
    Ok(files)
}

fn start_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("r-")?.strip_suffix(".wal")?;
    digits.replace('_', "").parse().ok()
}

/// How much of a file decodes, and why the rest does not.
struct Prefix {
    bytes: usize,
    records: usize,
    failure: Option<String>,
}

fn valid_prefix(content: &[u8]) -> Prefix {
    let mut rest = content;
    let mut records = 0;
    while !rest.is_empty() {
        let before = rest;
        if let Err(error) = EngineRecord::decode(&mut rest) {
            return Prefix {
                bytes: content.len() - before.len(),
                records,
                failure: Some(error.to_string()),
            };
        }
        records += 1;
    }
    Prefix {
        bytes: content.len(),
        records,
        failure: None,
    }
}

/// Where a whole record lies behind a torn one, if anywhere.
fn next_valid(content: &[u8], from: usize) -> Option<usize> {
    (from..content.len()).find(|at| {
        let mut rest = &content[*at..];
        // Record kinds are small big-endian numbers; the test spares most of the decoding.
        rest.starts_with(&[0, 0, 0]) && EngineRecord::decode(&mut rest).is_ok()
    })
}
