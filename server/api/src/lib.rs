//! JSON types of the HTTP API, shared by the managers, the command line and the dashboard.
//!
//! Every type here is what travels on the wire under `/v1`. Times are RFC 3339 strings in UTC, ids are
//! bare lower-case UUIDs, numbers carry their unit in the field's name. Nothing here depends on
//! anything but serde, so the same file compiles for the browser.

mod audit;
mod clock;
mod configuration;
mod event;
mod feature_level;
mod fleet;
mod keyring;
mod license;
mod manager;
mod node;
mod problem;
mod rollout;
mod secret;
mod session;
mod statistics;

pub use audit::{AuditActor, AuditList, AuditRecord, AuditVerification};
pub use clock::{Clock, ClockHold, ManagerClock};
pub use configuration::{
    ChangeKind, ConfigurationChange, ConfigurationDiff, Drift, Finding, Published, RollbackRequest,
    RolloutProgress, Version, VersionList, VersionSummary,
};
pub use event::{Event, EventKind, EventList};
pub use feature_level::{FeatureLevel, ManagerFeatureLevel};
pub use fleet::{Fleet, FleetList};
pub use keyring::{GossipKey, KeyringStatus};
pub use license::{License, LicenseCheck, LicenseState};
pub use manager::{
    Alarm, GroupStatus, LastBackup, LeadershipTransfer, Manager, ManagerInvitation, ManagerList,
    ManagerRole,
};
pub use node::{
    GatewayKind, JoinToken, LogLevel, ManagerLog, Node, NodeList, NodeLog, NodeLogLine,
    NodeRestart, NodeState,
};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
pub use rollout::{NodeRollout, NodeRolloutState, Rollout, RolloutState};
pub use secret::{ManagerSecrets, Secret, SecretStatus};
pub use session::{LoginRequest, Role, Session};
pub use statistics::{
    BackendTotals, EndpointSeries, EndpointTotals, ErrorTotals, Latency, NodeTotals, ProcessPoint,
    SeriesPoint, Statistics, StatisticsDetail, StatisticsPoint, Totals,
};
