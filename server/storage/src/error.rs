use std::{io, path::PathBuf};

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, as a verb: `read`, `write`, `fsync`.
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn of(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

/// The log cannot be used. Nothing was acknowledged by the failing call.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the Raft log is damaged: {}, at byte {offset}: {reason}. This manager must not vote with it", file.display())]
    Damaged {
        file: PathBuf,
        /// Offset inside the file, in bytes.
        offset: u64,
        reason: String,
    },
    #[error("the Raft log in {} does not open: {reason}", dir.display())]
    Open { dir: PathBuf, reason: String },
    #[error("the Raft log refused {what}: {reason}")]
    Refused { what: &'static str, reason: String },
    #[error("the Raft log is not trusted any more, because an fsync failed: {0}")]
    Poisoned(String),
    #[error("the Raft log is closed")]
    Closed,
    #[error(transparent)]
    File(#[from] FileError),
}

impl LogError {
    /// Whether the bytes on disk are wrong, so that opening them again cannot help.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        io::Error::other(error)
    }
}

/// The applied records cannot be used. They can always be rebuilt from snapshot file and log.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the record {key} in {} is damaged: {reason}", dir.display())]
    DamagedRecord {
        dir: PathBuf,
        /// The record's key, in hexadecimal.
        key: String,
        reason: String,
    },
    #[error("the state store in {} does not open: {reason}", dir.display())]
    Open { dir: PathBuf, reason: String },
    #[error("the state store in {} cannot be written: {reason}", dir.display())]
    Write { dir: PathBuf, reason: String },
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<StateError> for io::Error {
    fn from(error: StateError) -> Self {
        io::Error::other(error)
    }
}

/// A snapshot file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot {} is damaged at {what}: {reason}", file.display())]
    Damaged {
        file: PathBuf,
        what: String,
        reason: String,
    },
    #[error("the snapshot {} has format {found}; this program reads format {supported}: use the version that wrote it", file.display())]
    UnknownFormat {
        file: PathBuf,
        found: u32,
        supported: u32,
    },
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        io::Error::other(error)
    }
}
