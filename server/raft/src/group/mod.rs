//! The handle to the group, and what stands behind it.

mod clock;
mod form;
mod handle;
mod inner;
mod level;
mod members;
mod open;
mod propose;
mod read;
mod serve;
mod snapshots;
mod status;

pub use clock::{ClockReading, ClockStatus};
pub use handle::GroupHandle;
pub use open::{GroupConfig, SnapshotSettings};
pub use propose::Proposed;
pub use read::StateView;
pub use status::{GroupStatus, Leadership, MemberStatus, RaftRole};

pub(crate) use inner::Inner;
