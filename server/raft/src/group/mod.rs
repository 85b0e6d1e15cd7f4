//! The handle to the group, and what stands behind it.

mod alarms;
mod announce;
mod check;
mod clock;
mod disk;
mod fetch;
mod files;
mod form;
mod gate;
mod gathered;
mod handle;
mod inner;
mod known;
mod level;
mod members;
mod open;
mod proposals;
mod propose;
mod read;
mod relay;
mod replace;
mod secret;
mod serve;
mod snapshots;
mod status;
mod vigil;

pub use alarms::{Alarm, AlarmKind};
pub use clock::{ClockReading, ClockStatus};
pub use disk::{DiskProbe, DiskSettings};
pub use handle::GroupHandle;
pub use open::{GroupConfig, SnapshotSettings};
pub use propose::Proposed;
pub use read::StateView;
pub use relay::{RelayError, RelayHandler};
pub use status::{GroupStatus, Leadership, MemberStatus, RaftRole};

#[cfg(test)]
pub(crate) use files::Opened;
pub(crate) use inner::Inner;
