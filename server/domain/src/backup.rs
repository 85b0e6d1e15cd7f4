use serde::{Deserialize, Serialize};

use crate::{ManagerId, Millis};

/// What came of a backup that a leader was to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupReport {
    Saved {
        manager_id: ManagerId,
        /// Name of the file in that manager's backup directory.
        file: String,
        /// The last log entry in it.
        index: u64,
        bytes: u64,
    },
    Failed {
        manager_id: ManagerId,
        reason: String,
    },
}

/// How scheduled backups go. In the state, so that every manager can tell and a new leader goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// The newest one that was written.
    pub last: Option<SavedBackup>,
    /// Set while attempts fail.
    pub failing: Option<FailedBackup>,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBackup {
    pub manager_id: ManagerId,
    pub file: String,
    pub index: u64,
    pub bytes: u64,
    pub at_ms: Millis,
}

/// Backups that are not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBackup {
    pub manager_id: ManagerId,
    /// Of the newest attempt.
    pub reason: String,
    pub since_ms: Millis,
    pub last_ms: Millis,
}
