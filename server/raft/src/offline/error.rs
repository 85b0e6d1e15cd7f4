use std::path::PathBuf;

use krakend_domain::{RecordError, Rejected};
use krakend_storage::{BackupError, FileError, IdentityError, LockError, LogError, SnapshotError};
use uuid::Uuid;

/// Work on a data directory, or on a backup, that was not done. The directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    #[error("{} does not exist: name the data directory of a manager with --data-dir", dir.display())]
    NoDirectory { dir: PathBuf },
    #[error("{} holds {item}: a backup is restored into an empty directory (`group-secret` may be there), so name another with --data-dir", dir.display())]
    NotEmpty { dir: PathBuf, item: String },
    #[error("{} belongs to no group, so there is nothing to recover: use the data directory of a manager that was a member, or restore a backup", dir.display())]
    NoGroup { dir: PathBuf },
    #[error("{} belongs to group {found}, not to {given}: check the directory, then repeat the id that `recover --dry-run` shows", dir.display())]
    OtherGroup {
        dir: PathBuf,
        found: Uuid,
        given: Uuid,
    },
    #[error("{} is not whole: {reason}. Recover from another manager's directory, or restore a backup", dir.display())]
    Incomplete { dir: PathBuf, reason: String },
    #[error("log entry {index} in {} cannot be read: {reason}. Recover from another manager's directory, or restore a backup", dir.display())]
    Entry {
        dir: PathBuf,
        index: u64,
        reason: String,
    },
    #[error("the backup {} does not hold what it should: {reason}", file.display())]
    BackupContent { file: PathBuf, reason: String },
    #[error("the state cannot go on as another group: {0}")]
    Rejected(#[from] Rejected),
    #[error("writing failed: {0}")]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    File(#[from] FileError),
}
