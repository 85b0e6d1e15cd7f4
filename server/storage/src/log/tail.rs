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

/// Verifies the newest log file and cuts a torn tail. Says how many bytes were cut.
pub(super) fn verify(dir: &Path, watermark: u64) -> Result<u64, LogError> {
    let Some((start, path)) = newest_file(dir)? else {
        return match watermark {
            0 => Ok(0),
            _ => Err(LogError::Damaged {
                file: dir.into(),
                offset: 0,
                reason: format!("there is no log file, but {watermark} bytes had been fsynced"),
            }),
        };
    };
    let content = fs::read(&path).map_err(FileError::of("read", &path))?;
    let (valid, failure) = valid_prefix(&content);
    let damaged = |reason: String| LogError::Damaged {
        file: path.clone(),
        offset: valid as u64,
        reason,
    };
    if start + (valid as u64) < watermark {
        return Err(damaged(match failure {
            Some(failure) => format!("a record that had been fsynced does not decode: {failure}"),
            None => format!(
                "the log ends at offset {}, but {watermark} bytes had been fsynced",
                start + valid as u64
            ),
        }));
    }
    let Some(failure) = failure else {
        return Ok(0);
    };
    if let Some(next) = next_valid(&content, valid + 1) {
        return Err(damaged(format!(
            "it does not decode ({failure}), but a valid record follows at byte {next}"
        )));
    }
    let cut = (content.len() - valid) as u64;
    tracing::warn!(file = %path.display(), offset = valid, bytes = cut, "cutting a record that was being written when the manager stopped; it was never acknowledged");
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(FileError::of("open", &path))?;
    file.set_len(valid as u64)
        .and_then(|()| file.sync_all())
        .map_err(FileError::of("cut", &path))?;
    Ok(cut)
}

/// The log file that starts last, with the offset it starts at: that is its name.
fn newest_file(dir: &Path) -> Result<Option<(u64, PathBuf)>, LogError> {
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(FileError::of("list", dir))? {
        let path = entry.map_err(FileError::of("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(start) = name.and_then(start_of) else {
            continue;
        };
        if newest.as_ref().is_none_or(|(found, _)| *found < start) {
            newest = Some((start, path));
        }
    }
    Ok(newest)
}

fn start_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("r-")?.strip_suffix(".wal")?;
    digits.replace('_', "").parse().ok()
}

/// How many bytes decode, and why the rest does not.
fn valid_prefix(content: &[u8]) -> (usize, Option<String>) {
    let mut rest = content;
    while !rest.is_empty() {
        let before = rest;
        if let Err(error) = EngineRecord::decode(&mut rest) {
            return (content.len() - before.len(), Some(error.to_string()));
        }
    }
    (content.len(), None)
}

/// Where a whole record lies behind a torn one, if anywhere.
fn next_valid(content: &[u8], from: usize) -> Option<usize> {
    (from..content.len()).find(|at| {
        let mut rest = &content[*at..];
        // Record kinds are small big-endian numbers; the test spares most of the decoding.
        rest.starts_with(&[0, 0, 0]) && EngineRecord::decode(&mut rest).is_ok()
    })
}
