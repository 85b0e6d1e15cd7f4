//! The managers' Raft group: log, state machine, snapshots and network under one handle, [`GroupHandle`].
//!
//! The only crate that names openraft. It knows nothing about HTTP and nothing about nodes: commands go in through
//! [`GroupHandle::propose`], frozen states come out of [`GroupHandle::linearizable`] and [`GroupHandle::stale`].

// The size of its errors is openraft's choice.
#![allow(clippy::result_large_err)]

mod codec;
mod error;
mod group;
mod network;
mod offline;
#[cfg(any(test, feature = "planted-bugs"))]
mod planted;
mod rt;
#[cfg(test)]
mod simulation;
mod store;
mod timers;
mod types;

pub use error::{ChangeError, FormError, OpenError, ProposeError, ReadError, ServeError};
pub use group::{
    Alarm, AlarmKind, ClockReading, ClockStatus, DiskProbe, DiskSettings, GroupConfig, GroupHandle,
    GroupStatus, Leadership, MemberStatus, Proposed, RaftRole, RelayError, RelayHandler,
    SnapshotSettings, StateView,
};
#[doc(hidden)]
pub use krakend_storage::failpoint;
pub use krakend_storage::{DiskSpace, Identity, SyncFault, SyncFigures, WrittenBackup};
pub use network::{MAX_COMMAND_BYTES, PeerService, PeerVerify};
pub use offline::{
    BackupContents, BackupMeta, Founded, Frozen, KindSize, OfflineError, RestoreOrder, Survey,
    SurveyedMember, read_backup, recover, restore, survey, verify_backup,
};
pub use timers::Timers;
pub use types::ManagerNode;
