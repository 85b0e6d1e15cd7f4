//! The decisions of the cluster manager, and nothing else: no clock, no randomness, no files, no network.
//!
//! A [`Command`] goes in through the Raft log, [`ClusterState::apply`] changes the state in the same way on
//! every manager, and [`Event`]s come out. Whatever needs the time reads it from the [`LogEntry`].

mod audit;
mod backup;
mod clock;
mod command;
mod event;
mod idempotency;
mod ids;
mod keyring;
mod license;
mod life_cycle;
mod lineage;
mod managers;
mod node;
mod operation;
mod outcome;
mod record;
mod secret;
mod series;
mod sketch;
mod staging;
mod state;
mod statistics;
mod token;
mod topic;
mod version;

pub use audit::{AuditActor, AuditAnchor, AuditBroken, AuditRecord, AuditVia};
pub use backup::{BackupReport, BackupStatus, FailedBackup, SavedBackup};
pub use clock::{
    Advance, ClockHold, ClockRecord, ClockVerdict, MAX_JUMP_MS, MAX_OFFSET_MS, advance, judge,
    plan_clock_reports, span,
};
pub use command::{Command, LogEntry, ManagerRecord, NodeRegistration, Publication};
pub use event::{Event, EventKind};
pub use idempotency::IdempotencyRecord;
pub use ids::{Digest, DigestError, FleetName, FleetNameError, ManagerId, NodeId, TokenId};
pub use keyring::{GossipKeyId, GossipKeyRecord, Keyring};
pub use license::{
    Claims, FREE_LEVEL, FREE_MAX_NODES, LicenseCheck, LicenseNotes, LicenseRecord, LicenseState,
    LicenseStatus, Limits, NOTICE_DAYS, day,
};
pub use life_cycle::{FlapHistory, GossipView, LifeCycleSettings, Observation, plan_life_cycle};
pub use lineage::{EpochCause, FormerGroup, NewEpoch};
pub use managers::{
    GroupObservation, ManagerChange, ManagerObservation, ManagerSettings, ManagerStep,
    is_removal_safe, plan_managers,
};
pub use node::{AppliedVersion, GatewayKind, NodeNote, NodeRecord, NodeState, Refusal, Seat};
pub use operation::{DrainOrder, Draining, FileDrift};
pub use outcome::{Applied, Outcome, Rejected};
pub use record::{RecordError, RecordKey};
pub use secret::{
    CertificateLife, Dependents, NodeCertificate, SecretHolder, SecretId, SecretRecord, SecretStep,
    next_secret_step, voters_without,
};
pub use series::{
    Cells, DEFAULT_STATISTICS_BYTES, ErrorRow, HOUR_MS, Header, Kind, MIN_STATISTICS_BYTES,
    MINUTE_MS, Merged, NodeRow, OTHER_SERIES, Order, Packed, ProcessStep, QueryError, Row,
    SeriesKey, SeriesMeta, SeriesRow, StatisticsAnswer, StatisticsQuery, StepFigures, Tier,
    plan_step, query_statistics,
};
pub use sketch::Sketch;
pub use staging::{Chunk, StagedBody};
pub use state::{ClusterState, Fleet, Meta};
pub use statistics::{
    BackendCell, BackendSample, EndpointCell, EndpointSample, NodeWindow, RecentSample, Sample,
    SampleStream, WINDOW_MS, WindowKey,
};
pub use token::{JoinRole, JoinTokenRecord, Role, TokenRecord, TokenScope};
pub use topic::{Changes, Topic};
pub use version::VersionRecord;

/// Highest feature level that this program supports: the newest commands and formats that it can apply.
pub const FEATURE_LEVEL: u32 = 6;

/// UTC time in milliseconds since 1970.
pub type Millis = u64;
