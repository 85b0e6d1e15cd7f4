//! The replicated state and how commands change it.

mod auditing;
mod backup;
mod clock;
mod configuration;
mod departed;
mod epoch;
mod idempotent;
mod keyring;
mod leases;
mod licensing;
mod membership;
mod node_table;
mod nodes;
mod operation;
mod persist;
mod read;
mod recording;
mod seat_count;
mod secret;
mod series;
mod staging;
mod tokens;
mod told;
mod transaction;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Applied, AuditAnchor, AuditRecord, BackupStatus, Changes, ClockRecord, Command, DrainOrder,
    Event, FileDrift, FleetName, FormerGroup, IdempotencyRecord, JoinTokenRecord, Keyring,
    LicenseNotes, LicenseRecord, LicenseState, LogEntry, ManagerId, ManagerRecord, Millis,
    NodeCertificate, NodeId, NodeNote, NodeWindow, Outcome, Packed, RecentSample, Rejected,
    SecretRecord, SeriesKey, SeriesMeta, StagedBody, TokenId, TokenRecord, TokenScope,
    VersionRecord, WindowKey,
};
use node_table::NodeTable;
use transaction::Transaction;

/// Everything that the managers agree on. Cloning is cheap: the maps share their structure.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    pub(crate) meta: Meta,
    pub(crate) managers: OrdMap<ManagerId, ManagerRecord>,
    pub(crate) nodes: NodeTable,
    pub(crate) recent: OrdMap<NodeId, Vector<RecentSample>>,
    pub(crate) fleets: OrdMap<FleetName, Fleet>,
    /// By fleet, then by number: a map of all would compare names at every step.
    pub(crate) versions: OrdMap<FleetName, OrdMap<u64, Arc<VersionRecord>>>,
    pub(crate) license: Option<LicenseRecord>,
    pub(crate) tokens: OrdMap<TokenId, TokenRecord>,
    pub(crate) join_tokens: OrdMap<TokenId, JoinTokenRecord>,
    pub(crate) windows: OrdMap<WindowKey, Arc<NodeWindow>>,
    pub(crate) events: OrdMap<(u64, u32), Arc<Event>>,
    pub(crate) idempotency: OrdMap<Arc<str>, Arc<IdempotencyRecord>>,
    pub(crate) idempotency_age: OrdMap<(Millis, u64), Arc<str>>,
    /// Oldest first.
    pub(crate) lineage: Vector<FormerGroup>,
    pub(crate) backup: BackupStatus,
    pub(crate) clock: ClockRecord,
    pub(crate) changes: Changes,
    pub(crate) staged: OrdMap<Uuid, StagedBody>,
    pub(crate) staged_chunks: OrdMap<(Uuid, u32), Bytes>,
    pub(crate) secret: SecretRecord,
    pub(crate) certificates: OrdMap<NodeId, NodeCertificate>,
    pub(crate) license_notes: LicenseNotes,
    pub(crate) notes: OrdMap<NodeId, NodeNote>,
    pub(crate) keyring: Keyring,
    pub(crate) keyring_held: OrdMap<NodeId, u64>,
    pub(crate) series: OrdMap<SeriesKey, Packed>,
    /// What `series` takes; follows from it.
    pub(crate) series_bytes: u64,
    pub(crate) series_meta: SeriesMeta,
    pub(crate) metrics_addresses: OrdMap<NodeId, String>,
    /// By log index.
    pub(crate) audit: OrdMap<u64, Arc<AuditRecord>>,
    pub(crate) audit_anchor: AuditAnchor,
    pub(crate) token_scopes: OrdMap<TokenId, TokenScope>,
    pub(crate) drains: OrdMap<NodeId, DrainOrder>,
    pub(crate) drifts: OrdMap<NodeId, FileDrift>,
    /// Oldest first.
    pub(crate) removed_managers: Vector<ManagerId>,
}

/// Facts about the state as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// `None` until the first leader has written its first entry.
    pub group_id: Option<Uuid>,
    /// Highest time stamp believed. Only an operator sets it back.
    pub time_ms: Millis,
    /// Grows with each restore or recovery.
    pub epoch: u64,
    /// Grows with each change of any fleet's desired state.
    pub generation: u64,
    /// Commands and formats up to this level may be used; grows only.
    pub feature_level: u32,
    /// Last state of the licence that was told as an event.
    pub license_state: Option<LicenseState>,
    pub leader: Option<(ManagerId, u64)>,
}

/// A named set of nodes that share one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    pub name: FleetName,
    /// Number of the newest version; 0 before the first.
    pub newest: u64,
    /// The order that stands.
    pub generation: u64,
}

impl ClusterState {
    /// Applies one entry. A rejected command leaves everything but the time as it was.
    pub fn apply(&mut self, index: u64, entry: &LogEntry) -> Outcome {
        let mut tx = Transaction::begin(self, index, entry);
        let result = tx.run_unasked(&entry.command);
        tx.finish(result)
    }
}

impl Transaction<'_> {
    fn run(&mut self, command: &Command) -> Result<Applied, Rejected> {
        if self.state.meta.group_id.is_none() && !matches!(command, Command::Bootstrap { .. }) {
            // A new group's first leader may register managers before its first own command.
            if !matches!(
                command,
                Command::RegisterManager(_) | Command::LeaderElected { .. } | Command::Tick
            ) {
                return Err(Rejected::NotBootstrapped);
            }
        }
        match command {
            Command::Bootstrap {
                group_id,
                first_token,
            } => self.apply_bootstrap(*group_id, first_token),
            Command::Tick => self.apply_tick(),
            Command::CheckState => Ok(Applied::Unchanged),
            Command::RegisterManager(record) => self.apply_register_manager(record),
            Command::LeaderElected { manager_id, term } => {
                self.apply_leader_elected(*manager_id, *term)
            }
            Command::EnrollNode {
                token_id,
                secret_sha256,
                node_id: _,
            } => self.apply_enroll_node(*token_id, secret_sha256),
            Command::RegisterNode(registration) => self.apply_register_node(registration),
            Command::RenewLease { node_id, until_ms } => {
                self.apply_renew_lease(*node_id, *until_ms)
            }
            Command::SetNodeState {
                node_id,
                from,
                from_since_ms,
                to,
                reason,
            } => self.apply_set_node_state(*node_id, (*from, *from_since_ms), *to, reason),
            Command::LeaveNode { node_id, hold_seat } => {
                self.apply_leave_node(*node_id, *hold_seat)
            }
            Command::AcknowledgeVersion { .. } => self.apply_acknowledge_version(command),
            Command::Publish(publication) => self.apply_publish(publication),
            Command::InstallLicense(record) => self.apply_install_license(record),
            Command::RemoveLicense { by } => self.apply_remove_license(by),
            Command::CreateToken(record) => self.apply_create_token(record),
            Command::RevokeToken { id, by } => self.apply_revoke_token(*id, by),
            Command::CreateJoinToken(record) => self.apply_create_join_token(record),
            Command::RecordStatistics {
                node_id,
                stream,
                samples,
            } => self.apply_record_statistics(*node_id, *stream, samples),
            Command::Idempotent {
                key,
                request,
                command,
            } => self.apply_idempotent(key, request, command),
            Command::EnrollManager {
                token_id,
                secret_sha256,
            } => self.apply_enroll_manager(*token_id, secret_sha256),
            Command::CreateFleet { name, by } => self.apply_create_fleet(name, by),
            Command::ChangeManager {
                id,
                name,
                change,
                by,
            } => self.apply_change_manager(*id, name, *change, by),
            Command::BeginEpoch(new) => self.apply_begin_epoch(new),
            Command::ReportBackup(report) => self.apply_report_backup(report),
            Command::ConfirmClock { by } => self.apply_confirm_clock(by),
            Command::ResetClock { by } => self.apply_reset_clock(by),
            Command::RaiseFeatureLevel { level, by } => self.apply_raise_feature_level(*level, by),
            Command::ReportClock {
                manager_id,
                ahead_ms,
            } => self.apply_report_clock(*manager_id, *ahead_ms),
            Command::StageChunk(chunk) => self.apply_stage_chunk(chunk),
            Command::PublishStaged {
                upload,
                publication,
            } => self.apply_publish_staged(*upload, publication),
            Command::DropStaged { upload } => self.apply_drop_staged(*upload),
            Command::UseSecret { id, by } => self.apply_use_secret(*id, by),
            Command::RecordCertificate {
                node_id,
                certificate,
            } => self.apply_record_certificate(*node_id, *certificate),
            Command::ReportLicense {
                manager_id,
                license,
                problem,
            } => self.apply_report_license(*manager_id, *license, problem.as_deref()),
            Command::NodeLeft {
                node_id,
                from,
                from_since_ms,
            } => self.apply_node_left(*node_id, (*from, *from_since_ms)),
            Command::ReportGossip { node_id, blocked } => {
                self.apply_report_gossip(*node_id, *blocked)
            }
            Command::InstallGossipKey(record) => self.apply_install_gossip_key(record),
            Command::UseGossipKey { id, by } => self.apply_use_gossip_key(*id, by),
            Command::RemoveGossipKey { id, by } => self.apply_remove_gossip_key(*id, by),
            Command::AcknowledgeKeyring { node_id, revision } => {
                self.apply_acknowledge_keyring(*node_id, *revision)
            }
            Command::SetStatisticsLimit { max_bytes, by: _ } => {
                self.apply_set_statistics_limit(*max_bytes)
            }
            Command::ReportExport {
                until_ms,
                late,
                seen,
            } => self.apply_report_export(*until_ms, late, *seen),
            Command::SetMetricsAddress { node_id, address } => {
                self.apply_set_metrics_address(*node_id, address)
            }
            Command::Audited { actor, command } => self.apply_audited(actor, command),
            Command::RecordAction { .. } => Ok(Applied::Done),
            Command::CreateScopedToken { record, scope } => {
                self.apply_create_scoped_token(record, scope)
            }
            Command::DrainNode {
                node_id,
                draining,
                by,
            } => self.apply_drain_node(*node_id, *draining, by),
            Command::ReportRestart {
                node_id,
                by,
                problem,
            } => self.apply_report_restart(*node_id, by, problem.as_deref()),
            Command::ReportDrift { node_id, drift } => {
                self.apply_report_drift(*node_id, drift.as_ref())
            }
        }
    }
}
