use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    GroupFormed,
    ManagerJoined,
    LeaderElected,
    NodeJoined,
    NodeActive,
    NodeUnreachable,
    NodeDown,
    NodeRemoved,
    NodeRefused,
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
    StatisticsWindow,
    GroupRestored,
    GroupRecovered,
    BackupFailed,
    BackupSaved,
    NodeDrained,
    NodeUndrained,
    GatewayRestarted,
    GatewayRestartFailed,
    DriftFound,
    DriftGone,
    NodeLeaseEnded,
    /// Written by a newer manager; `message` still says what happened.
    #[serde(other)]
    Other,
}

/// One event. On `/v1/events` (Server-Sent Events) this is the data of a message whose id is
/// `{index}.{position}`: sent back as `Last-Event-ID`, on any manager, the stream goes on right after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Log index of the entry that caused it.
    pub index: u64,
    /// Position among the events of the same entry, from 0.
    pub position: u32,
    pub time: String,
    pub kind: EventKind,
    pub fleet: Option<String>,
    /// Node or manager that it is about.
    pub subject_id: Option<String>,
    pub subject_name: Option<String>,
    /// Version number, where it is about one.
    pub version: Option<u64>,
    /// One line for people.
    pub message: String,
}

/// Answer of `GET /v1/events?history=true`: newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList {
    pub events: Vec<Event>,
    /// Oldest index from which the stream can be resumed.
    pub oldest_index: u64,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}
