use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FleetName, Millis};

/// Something that happened to the cluster, as operators read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub index: u64,
    /// Position among the events of the same entry, from 0.
    pub position: u32,
    pub time_ms: Millis,
    pub kind: EventKind,
    pub fleet: Option<FleetName>,
    /// Node or manager.
    pub subject_id: Option<Uuid>,
    pub subject_name: Option<String>,
    pub version: Option<u64>,
    /// One line for people.
    pub message: String,
}

/// What happened. Append at the end: the position is the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    GroupFormed,
    ManagerJoined,
    LeaderElected,
    NodeJoined,
    NodeActive,
    NodeUnreachable,
    NodeDown,
    NodeRemoved,
    VersionPublished,
    VersionApplied,
    VersionRefused,
    LicenseInstalled,
    LicenseRemoved,
    LicenseStateChanged,
    TokenCreated,
    TokenRevoked,
    FleetCreated,
    ManagerPromoted,
    ManagerRemoved,
    ManagerMoved,
    LeadershipTransferred,
    GroupRestored,
    GroupRecovered,
    BackupFailed,
    BackupSaved,
    ClockHeld,
    ClockConfirmed,
    ClockReset,
    ClockOff,
    ClockRight,
    FeatureLevelRaised,
    SecretRotated,
    LicenseNotice,
    LicenseUnverified,
    LicenseVerified,
    GossipBlocked,
    GossipOpen,
    GossipKeysChanged,
    NodeDrained,
    NodeUndrained,
    GatewayRestarted,
    GatewayRestartFailed,
    DriftFound,
    DriftGone,
    NodeLeaseEnded,
}
