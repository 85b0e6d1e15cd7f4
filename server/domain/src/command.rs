use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AuditActor, BackupReport, Chunk, Digest, FileDrift, FleetName, GatewayKind, GossipKeyId,
    GossipKeyRecord, JoinTokenRecord, LicenseRecord, ManagerChange, ManagerId, Millis, NewEpoch,
    NodeCertificate, NodeId, NodeState, Sample, SampleStream, SecretId, TokenId, TokenRecord,
    TokenScope,
};

/// What a Raft log entry carries. The leader stamps it; nobody reads a clock afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// The leader's clock when it proposed.
    pub time_ms: Millis,
    pub command: Command,
}

/// Every way in which the cluster's state can change. Append variants at the end: the position is the wire format.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// First command of a group. Applying it to a group that has begun changes nothing.
    Bootstrap {
        group_id: Uuid,
        first_token: TokenRecord,
    },
    /// Lets time pass: retention, seats held for a while, licence dates.
    Tick,
    /// A manager tells its names and addresses after each start.
    RegisterManager(ManagerRecord),
    /// The first thing that a new leader writes.
    LeaderElected {
        manager_id: ManagerId,
        term: u64,
    },
    /// Spends one use of a join token for a node's certificate.
    EnrollNode {
        token_id: TokenId,
        secret_sha256: Digest,
        node_id: NodeId,
    },
    /// A node's session begins: takes a seat, and renews the lease.
    RegisterNode(NodeRegistration),
    /// Renews the lease of a node that holds a seat.
    RenewLease {
        node_id: NodeId,
        until_ms: Millis,
    },
    /// Moves a node in its life cycle, when it still is where the planner saw it.
    SetNodeState {
        node_id: NodeId,
        from: NodeState,
        from_since_ms: Millis,
        to: NodeState,
        reason: String,
    },
    /// A clean stop by the operator (`hold_seat`), or a removal for good.
    LeaveNode {
        node_id: NodeId,
        hold_seat: bool,
    },
    /// What a node did with an order.
    AcknowledgeVersion {
        node_id: NodeId,
        epoch: u64,
        generation: u64,
        number: u64,
        digest: Digest,
        /// Digest of the file as the gateway got it.
        rendered: Digest,
        /// The gateway's own words when it refused.
        refusal: Option<String>,
    },
    Publish(Publication),
    InstallLicense(LicenseRecord),
    RemoveLicense {
        by: String,
    },
    CreateToken(TokenRecord),
    RevokeToken {
        id: TokenId,
        by: String,
    },
    CreateJoinToken(JoinTokenRecord),
    /// A node's samples, each exactly once by stream and sequence.
    RecordStatistics {
        node_id: NodeId,
        stream: SampleStream,
        samples: Vec<Sample>,
    },
    /// Runs `command` unless the same key has run it within the last 24 hours of log time.
    Idempotent {
        key: String,
        /// Digest of what was asked, so that another request under the same key is noticed.
        request: Digest,
        command: Box<Command>,
    },
    /// Spends one use of a join token for the group secret.
    EnrollManager {
        token_id: TokenId,
        secret_sha256: Digest,
    },
    /// A fleet that has no version yet.
    CreateFleet {
        name: FleetName,
        by: String,
    },
    /// Tells that the membership was changed; Raft's own entry has done it.
    ChangeManager {
        id: ManagerId,
        name: String,
        change: ManagerChange,
        /// Who, or why where nobody asked.
        by: String,
    },
    /// Ends a group and goes on as another, after a restore or the recovery of a lost quorum. Only ever applied to
    /// a data directory that no manager uses, never proposed.
    BeginEpoch(NewEpoch),
    /// A leader tells what came of a scheduled backup.
    ReportBackup(BackupReport),
    /// An operator says that a jump of the clock was right: the time becomes this entry's stamp.
    ConfirmClock {
        by: String,
    },
    /// An operator sets the time to this entry's stamp, also back.
    ResetClock {
        by: String,
    },
    /// The leader noticed that a manager's clock is off, or right again (`None`).
    ReportClock {
        manager_id: ManagerId,
        /// Milliseconds ahead of the voters' median.
        ahead_ms: Option<i64>,
    },
    /// A piece of a body that is too large for one entry.
    StageChunk(Chunk),
    /// Publishes the body whose pieces are staged; the publication's own is empty.
    PublishStaged {
        upload: Uuid,
        publication: Publication,
    },
    /// Forgets pieces that will not be published.
    DropStaged {
        upload: Uuid,
    },
    /// From now on commands and formats of this level may be used; there is no way back.
    RaiseFeatureLevel {
        level: u32,
        by: String,
    },
    /// Changes nothing. Every manager takes the hash of its state at this entry, and the leader compares them.
    CheckState,
    /// From now on this group secret signs, seals and certifies. Proposed only while every voter holds it.
    UseSecret {
        id: SecretId,
        by: String,
    },
    /// What a node's certificate stands on, and when it ends.
    RecordCertificate {
        node_id: NodeId,
        certificate: NodeCertificate,
    },
    /// What a manager found when it verified the installed licence with its own key.
    ReportLicense {
        manager_id: ManagerId,
        /// SHA-256 of the token that it verified.
        license: Digest,
        /// Why it does not verify there.
        problem: Option<String>,
    },
    /// A node said goodbye in gossip because it met no leader. Its seat is held, as after any clean stop.
    NodeLeft {
        node_id: NodeId,
        from: NodeState,
        from_since_ms: Millis,
    },
    /// A node has a session, but gossip does not reach it, or does again.
    ReportGossip {
        node_id: NodeId,
        blocked: bool,
    },
    /// Another gossip key: all accept it, nobody signs with it yet.
    InstallGossipKey(GossipKeyRecord),
    /// From now on this key signs; `None` is the initial one.
    UseGossipKey {
        id: Option<GossipKeyId>,
        by: String,
    },
    /// Nobody accepts this key any more; `None` is the initial one.
    RemoveGossipKey {
        id: Option<GossipKeyId>,
        by: String,
    },
    /// A node holds this revision of the gossip key ring.
    AcknowledgeKeyring {
        node_id: NodeId,
        revision: u64,
    },
    /// The room that windows of statistics have, as the leader's settings say.
    SetStatisticsLimit {
        max_bytes: u64,
        by: String,
    },
    /// Minutes of statistics before this, and these late ones, were passed on to another system.
    ReportExport {
        until_ms: Millis,
        late: Vec<Millis>,
        /// Log index of the state that was passed on.
        seen: u64,
    },
    /// Where a node's own figures can be read.
    SetMetricsAddress {
        node_id: NodeId,
        address: String,
    },
    /// Runs `command` for a caller and writes it into the audit trail.
    Audited {
        actor: AuditActor,
        command: Box<Command>,
    },
    /// Changes nothing but the audit trail: what a manager did that is not in the state.
    RecordAction {
        action: String,
        subject: String,
        after: Option<String>,
    },
    /// An API token that may not do all that its role may.
    CreateScopedToken {
        record: TokenRecord,
        scope: TokenScope,
    },
    /// A node shall take no new traffic, or take it again. It keeps its seat.
    DrainNode {
        node_id: NodeId,
        draining: bool,
        by: String,
    },
    /// What came of a restart of a node's gateway that somebody asked for.
    ReportRestart {
        node_id: NodeId,
        by: String,
        /// Why it was not restarted; what served before serves on.
        problem: Option<String>,
    },
    /// A gateway's file is not what its node wrote, or is so again.
    ReportDrift {
        node_id: NodeId,
        drift: Option<FileDrift>,
    },
}

impl Command {
    /// The feature level from which on every voter can apply it. A leader proposes it only from then on.
    pub fn needs_level(&self) -> u32 {
        match self {
            Self::ConfirmClock { .. } | Self::ResetClock { .. } | Self::ReportClock { .. } => 2,
            Self::UseSecret { .. } | Self::RecordCertificate { .. } => 3,
            // Leases were not renewed before.
            Self::RenewLease { .. }
            | Self::ReportLicense { .. }
            | Self::NodeLeft { .. }
            | Self::ReportGossip { .. }
            | Self::InstallGossipKey(_)
            | Self::UseGossipKey { .. }
            | Self::RemoveGossipKey { .. }
            | Self::AcknowledgeKeyring { .. } => 4,
            Self::SetStatisticsLimit { .. }
            | Self::ReportExport { .. }
            | Self::SetMetricsAddress { .. } => 5,
            Self::RecordAction { .. } | Self::CreateScopedToken { .. } => 5,
            Self::Audited { command, .. } => command.needs_level().max(5),
            Self::DrainNode { .. } | Self::ReportRestart { .. } | Self::ReportDrift { .. } => 5,
            Self::Idempotent { command, .. } => command.needs_level(),
            // Raising is how a group gets to where it may use what is new.
            _ => 1,
        }
    }

    /// Whether it is the operator's word on the clock, which no jump rule holds up.
    pub(crate) fn sets_clock(&self) -> bool {
        match self {
            Self::ConfirmClock { .. } | Self::ResetClock { .. } | Self::BeginEpoch(_) => true,
            Self::Idempotent { command, .. } | Self::Audited { command, .. } => {
                command.sets_clock()
            }
            _ => false,
        }
    }

    /// What is to be done, without what is around it.
    pub fn plain(&self) -> &Self {
        match self {
            Self::Idempotent { command, .. } | Self::Audited { command, .. } => command.plain(),
            command => command,
        }
    }
}

/// Names and addresses of a manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerRecord {
    pub id: ManagerId,
    pub name: String,
    pub raft_address: String,
    pub node_address: String,
    pub http_address: String,
    pub version: String,
}

/// What a node says of itself when its session begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRegistration {
    pub node_id: NodeId,
    /// Made with the node's data directory; tells two machines with one id apart.
    pub store_id: Uuid,
    pub fleet: FleetName,
    pub name: String,
    pub gateway_address: String,
    pub gossip_address: String,
    pub gateway: GatewayKind,
    pub gateway_version: String,
    pub version: String,
    /// End of the lease that this registration gives.
    pub lease_until_ms: Millis,
}

/// A new configuration version. The leader has parsed and checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub fleet: FleetName,
    /// Digest of the version that the author started from; `None` for the first.
    pub parent: Option<Digest>,
    /// SHA-256 of the canonical form (RFC 8785).
    pub digest: Digest,
    /// The document as published, compressed with zstd.
    pub body: Bytes,
    /// Length of the document before compression.
    pub size_bytes: u64,
    pub author: String,
    pub message: String,
}
