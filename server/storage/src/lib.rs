//! Everything a manager keeps on disk, and the only crate that names the engines behind it.
//!
//! - [`LogStore`]: Raft log, vote and committed position. An answer means: fsynced.
//! - [`StateStore`]: the applied records, written behind. Rebuildable, so it may lag and may be deleted.
//! - [`SnapshotFiles`]: whole states in checksummed files; the log is purged up to one of these and no further.
//! - [`BackupWriter`], [`BackupReader`]: whole states for operators, with where they come from.
//! - [`Replacement`]: other content for a data directory, all of it or nothing.
//! - [`Identity`]: who this data directory belongs to, and [`DataDirLock`]: that one process uses it.
//!
//! What the bytes mean is not known here: neither Raft's types nor the domain's.

mod atomic_file;
mod backup;
mod damaged;
mod disk;
mod error;
#[doc(hidden)]
pub mod failpoint;
mod identity;
mod lock;
mod log;
mod priority;
mod record;
mod replacement;
mod snapshot;
mod state;

pub use atomic_file::write_atomic;
pub use backup::{BackupError, BackupFile, BackupReader, BackupWriter, TargetError, WrittenBackup};
pub use damaged::{set_aside, set_aside_dirs};
pub use disk::{DiskSpace, ReserveFile};
pub use error::{FileError, LogError, SnapshotError, StateError};
pub use identity::{Grant, GrantMember, Identity, IdentityError, LogOwner};
pub use lock::{DataDirLock, LockError};
pub use log::{
    LogPosition, LogRecord, LogSettings, LogStore, LogSummary, SyncFault, SyncFigures, VoteRecord,
};
pub use priority::yield_to_others;
pub use replacement::{Replacement, finish_replacement, is_replacement_pending};
pub use snapshot::{IncomingSnapshot, SnapshotFile, SnapshotFiles, SnapshotReader, SnapshotWriter};
pub use state::{Change, LoadedState, StateStore};
