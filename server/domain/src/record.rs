use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FleetName, ManagerId, Millis, NodeId, SeriesKey, TokenId, WindowKey};

/// Key of one persisted record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecordKey {
    Meta,
    Manager(ManagerId),
    Node(NodeId),
    Recent(NodeId),
    Fleet(FleetName),
    Version(FleetName, u64),
    License,
    Token(TokenId),
    JoinToken(TokenId),
    Window(WindowKey),
    Event(u64, u32),
    Idempotency(String),
    /// Oldest-first order of idempotency keys.
    IdempotencyAge(Millis, u64),
    /// The groups that this state has been.
    Lineage,
    /// How scheduled backups go.
    Backup,
    Clock,
    /// Where each topic changed last.
    Changes,
    StagedBody(Uuid),
    StagedChunk(Uuid, u32),
    /// Which secret the group uses.
    Secret,
    /// A node's certificate.
    Certificate(NodeId),
    /// What was told of the licence, and who verified it.
    LicenseNotes,
    /// What is wrong with a node's ways to the group.
    NodeNote(NodeId),
    /// Which keys authenticate gossip.
    Keyring,
    /// The revision of the key ring that a node holds.
    KeyringHeld(NodeId),
    /// A window of statistics, from feature level 5 on.
    Series(SeriesKey),
    /// How far windows have been folded, and how much room they have.
    SeriesMeta,
    /// Where a node's own figures can be read.
    MetricsAddress(NodeId),
    /// A write, by log index.
    Audit(u64),
    /// What the oldest kept write follows from.
    AuditAnchor,
    /// What a token may not.
    TokenScope(TokenId),
    /// Whether a node shall take traffic.
    Drain(NodeId),
    /// A gateway's file that is not what its node wrote.
    Drift(NodeId),
    /// Ids that were members of the group, from feature level 6 on.
    RemovedManagers,
}

/// A persisted record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("record key {key} cannot be read: {reason}")]
    Key { key: String, reason: String },
    #[error("record {key:?} cannot be read: {reason}")]
    Value { key: RecordKey, reason: String },
    #[error(
        "record {key:?} has format {found}; this program reads up to {newest}: start a newer version"
    )]
    Newer {
        key: RecordKey,
        found: u8,
        newest: u8,
    },
}

/// Format of the values below. A value is this byte, then postcard.
const FORMAT: u8 = 1;

impl RecordKey {
    /// Bytes whose order groups records of a kind.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising these keys cannot fail: no maps, no unsized sequences.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        postcard::from_bytes(bytes).map_err(|error| RecordError::Key {
            key: bytes.iter().take(64).map(|b| format!("{b:02x}")).collect(),
            reason: error.to_string(),
        })
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = vec![FORMAT];
    // Serialising into memory cannot fail for these types; an empty value would be refused when read.
    if let Ok(bytes) = postcard::to_stdvec(value) {
        out.extend(bytes);
    }
    out
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(
    key: &RecordKey,
    bytes: &'a [u8],
) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| RecordError::Value {
            key: key.clone(),
            reason: error.to_string(),
        }),
        Some((&found, _)) => Err(RecordError::Newer {
            key: key.clone(),
            found,
            newest: FORMAT,
        }),
        None => Err(RecordError::Value {
            key: key.clone(),
            reason: "it is empty".into(),
        }),
    }
}
