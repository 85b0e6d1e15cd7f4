//! The gossip key ring. State knows keys by name, by salt, and by the group secret that they derive from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DigestError, Millis, SecretId};

/// Name of an installed gossip key: the first bytes of its salt's digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GossipKeyId(pub [u8; 8]);

impl fmt::Display for GossipKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SecretId(self.0).fmt(f)
    }
}

impl fmt::Debug for GossipKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipKeyId({self})")
    }
}

impl FromStr for GossipKeyId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<SecretId>().map(|id| Self(id.0))
    }
}

/// A key of the ring. The key itself is HKDF of group secret and salt, so that whoever reads a snapshot or a backup
/// has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipKeyRecord {
    pub id: GossipKeyId,
    /// The group secret that it derives from.
    pub secret: SecretId,
    pub salt: [u8; 32],
    /// Packets under it are encrypted beside being authenticated.
    pub encrypts: bool,
    pub installed_ms: Millis,
    pub by: String,
    /// Whoever has acknowledged this revision of the ring holds the key.
    pub revision: u64,
}

/// Which keys authenticate gossip. `None` in place of an id is the initial key, which derives from the group secret
/// alone and was there before any command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// Grows with each change.
    pub revision: u64,
    /// The one that signs.
    pub in_use: Option<GossipKeyId>,
    /// The revision since which it signs.
    pub in_use_revision: u64,
    /// Oldest first.
    pub keys: Vec<GossipKeyRecord>,
    /// The initial key is no longer accepted.
    pub initial_removed: bool,
}

impl Keyring {
    /// Installed keys at most; a packet's key is searched among all.
    pub const MAX_KEYS: usize = 4;

    pub fn key(&self, id: GossipKeyId) -> Option<&GossipKeyRecord> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The name that people see.
    pub fn name(id: Option<GossipKeyId>) -> String {
        id.map_or("initial".into(), |id| id.to_string())
    }
}
