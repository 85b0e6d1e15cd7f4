use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::RecordKey;

/// What a reader can wait for. Append at the end: the position is the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topic {
    Managers,
    /// What is shown of nodes; not the bookkeeping of their statistics.
    Nodes,
    Fleets,
    Versions,
    License,
    Tokens,
    Statistics,
    Events,
    Clock,
    Audit,
}

impl Topic {
    pub const ALL: [Self; 10] = [
        Self::Managers,
        Self::Nodes,
        Self::Fleets,
        Self::Versions,
        Self::License,
        Self::Tokens,
        Self::Statistics,
        Self::Events,
        Self::Clock,
        Self::Audit,
    ];

    /// The topic that a record belongs to; `None` for bookkeeping that nobody reads.
    pub(crate) fn of(key: &RecordKey) -> Option<Self> {
        match key {
            RecordKey::Manager(_) | RecordKey::Secret | RecordKey::Keyring => Some(Self::Managers),
            RecordKey::Node(_)
            | RecordKey::Certificate(_)
            | RecordKey::NodeNote(_)
            | RecordKey::KeyringHeld(_)
            | RecordKey::MetricsAddress(_)
            | RecordKey::Drain(_)
            | RecordKey::Drift(_) => Some(Self::Nodes),
            RecordKey::Fleet(_) => Some(Self::Fleets),
            RecordKey::Version(..) => Some(Self::Versions),
            RecordKey::License | RecordKey::LicenseNotes => Some(Self::License),
            RecordKey::Token(_) | RecordKey::JoinToken(_) | RecordKey::TokenScope(_) => {
                Some(Self::Tokens)
            }
            RecordKey::Recent(_) | RecordKey::Window(_) | RecordKey::Series(_) => {
                Some(Self::Statistics)
            }
            RecordKey::Event(..) => Some(Self::Events),
            RecordKey::Clock => Some(Self::Clock),
            RecordKey::Audit(_) => Some(Self::Audit),
            RecordKey::Meta
            | RecordKey::Lineage
            | RecordKey::Backup
            | RecordKey::StagedBody(_)
            | RecordKey::StagedChunk(..)
            | RecordKey::Idempotency(_)
            | RecordKey::IdempotencyAge(..)
            | RecordKey::SeriesMeta
            | RecordKey::AuditAnchor
            | RecordKey::RemovedManagers
            | RecordKey::Changes => None,
        }
    }
}

/// Where each topic changed last, and which events are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Log index of each topic's last change.
    pub(crate) modified: OrdMap<Topic, u64>,
    /// Events up to this log index may be gone, always all of an index together.
    pub(crate) forgotten_through: u64,
}

/// A set of topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topics(u16);

impl Topics {
    pub(crate) fn insert(&mut self, topic: Topic) {
        self.0 |= 1 << topic as u16;
    }

    pub(crate) fn contains(self, topic: Topic) -> bool {
        self.0 & (1 << topic as u16) != 0
    }

    pub(crate) fn retain(&mut self, topic: Topic) {
        self.0 &= 1 << topic as u16;
    }
}
