use std::sync::PoisonError;

use krakend_domain::{FleetName, NodeId};
use krakend_gossip::{Key, KeyRing};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::sealed::{Unsealed, seal, unseal};
use super::{Machine, Store, StoreError};
use crate::disk;

pub(super) const NODE: &str = "node.json";
/// The same once more: without it a node would have to enrol again.
pub(super) const COPY: &str = "node.copy.json";
const KEY: &str = "node.key";
const GOSSIP_KEYS: &str = "gossip-keys.json";

/// Who this node is: `node.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    pub format: u32,
    /// Made at the first start of this directory: tells a copy from the original.
    pub store_id: Uuid,
    /// Present once a manager has certified the node.
    pub enrolled: Option<Enrolled>,
    /// The machine that this directory was last used on.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// It came from another machine, and no leader has said yet whether that one is gone.
    #[serde(default)]
    pub copied: bool,
}

/// The identity, or why the file is worth nothing. Files of earlier programs have no checksum.
pub(super) fn read_identity(bytes: &[u8]) -> Result<Identity, String> {
    match unseal(bytes)? {
        Unsealed::Whole(identity) => Ok(identity),
        Unsealed::Unproved(value) if value.get("machine").is_some() => {
            Err("its checksum is missing".into())
        }
        Unsealed::Unproved(value) => {
            serde_json::from_value(value).map_err(|error| error.to_string())
        }
    }
}

/// What enrolment gave. The private key is a file of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrolled {
    pub node_id: NodeId,
    pub fleet: FleetName,
    /// The leaf, then the CA.
    pub certificate_pem: String,
    pub ca_pem: String,
    /// Ed25519. The only one that programs without a list know.
    pub lease_verifying_key: [u8; 32],
    /// All that leases may be signed with.
    #[serde(default)]
    pub lease_verifying_keys: Vec<[u8; 32]>,
    /// File of the private key that the certificate is for: a new one has a file of its own, so that the two never part.
    #[serde(default = "first_key_file")]
    pub key_file: String,
    /// host:port of 7000/tcp, as last heard.
    pub managers: Vec<String>,
    /// The group that gave the newest lease.
    #[serde(default)]
    pub group: Option<GroupSeen>,
}

/// A group as leases name it. A restore or a recovery gives it a new id, and a newer epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSeen {
    pub id: String,
    pub epoch: u64,
}

pub(crate) fn first_key_file() -> String {
    KEY.into()
}

impl Enrolled {
    /// What a lease may be signed with.
    pub fn lease_keys(&self) -> Vec<[u8; 32]> {
        match self.lease_verifying_keys.is_empty() {
            true => vec![self.lease_verifying_key],
            false => self.lease_verifying_keys.clone(),
        }
    }
}

/// The gossip key ring as it lies on disk.
#[derive(Serialize, Deserialize)]
#[serde(from = "StoredKeys")]
pub struct GossipKeys {
    keys: Vec<[u8; 32]>,
    /// Bit n: packets under `keys[n]` are encrypted.
    encrypting: u32,
}

/// Both forms that were ever written.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredKeys {
    Plain(Vec<[u8; 32]>),
    Marked {
        keys: Vec<[u8; 32]>,
        encrypting: u32,
    },
}

impl From<StoredKeys> for GossipKeys {
    fn from(stored: StoredKeys) -> Self {
        let (keys, encrypting) = match stored {
            StoredKeys::Plain(keys) => (keys, 0),
            StoredKeys::Marked { keys, encrypting } => (keys, encrypting),
        };
        Self { keys, encrypting }
    }
}

impl GossipKeys {
    /// From the wire: 1 to 8 keys of 32 bytes.
    pub fn from_wire(ring: &krakend_proto::node::KeyRing) -> Option<Self> {
        let keys = ring
            .keys
            .iter()
            .map(|key| <[u8; 32]>::try_from(key.as_ref()).ok());
        let keys: Option<Vec<_>> = keys.collect();
        keys.filter(|keys| (1..=KeyRing::MAX_KEYS).contains(&keys.len()))
            .map(|keys| Self {
                keys,
                encrypting: ring.encrypting,
            })
    }

    pub fn ring(&self) -> Option<KeyRing> {
        let keys = self.keys.iter().enumerate();
        let keys = keys.map(|(at, key)| match self.encrypting & 1 << at {
            0 => Key::new(*key),
            _ => Key::encrypting(*key),
        });
        KeyRing::new(keys.collect()).ok()
    }
}

impl Drop for GossipKeys {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.keys);
    }
}

impl Store {
    /// Reads who this node is; a fresh directory gets its store id.
    pub fn identity(&self) -> Result<Identity, StoreError> {
        let path = self.path(NODE);
        if let Some(bytes) = disk::read(&path)? {
            return read_identity(&bytes).map_err(|reason| StoreError::Malformed {
                path: path.display().to_string(),
                reason,
            });
        }
        let identity = Identity {
            format: 1,
            store_id: Uuid::new_v4(),
            enrolled: None,
            machine: None,
            copied: false,
        };
        self.set_identity(&identity)?;
        Ok(identity)
    }

    pub fn set_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let path = self.path(NODE);
        let bytes = seal(identity).map_err(|error| StoreError::Malformed {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        disk::write(&path, &bytes, disk::PLAIN)?;
        Ok(disk::write(&self.path(COPY), &bytes, disk::PLAIN)?)
    }

    /// Changes what enrolment gave; one change at a time. Nothing before the enrolment.
    pub fn change_enrolled(
        &self,
        change: impl FnOnce(&mut Enrolled),
    ) -> Result<Option<Enrolled>, StoreError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut identity = self.identity()?;
        let Some(enrolled) = &mut identity.enrolled else {
            return Ok(None);
        };
        let before = serde_json::to_vec(&enrolled).ok();
        change(enrolled);
        if serde_json::to_vec(&enrolled).ok() != before {
            self.set_identity(&identity)?;
        }
        Ok(identity.enrolled)
    }

    /// The private key in PEM; `None` where it is missing.
    pub fn private_key(&self, file: &str) -> Result<Option<Zeroizing<String>>, StoreError> {
        let path = self.path(file);
        let Some(bytes) = disk::read(&path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| StoreError::Malformed {
            path: path.display().to_string(),
            reason: "it is no PEM text".into(),
        })?;
        Ok(Some(text.into()))
    }

    pub fn set_private_key(&self, file: &str, pem: &str) -> Result<(), StoreError> {
        Ok(disk::write(&self.path(file), pem.as_bytes(), disk::SECRET)?)
    }

    /// A key whose certificate was exchanged. Left over it does no harm.
    pub fn remove_private_key(&self, file: &str) {
        let _ = std::fs::remove_file(self.path(file));
    }

    pub fn gossip_keys(&self) -> Result<Option<GossipKeys>, StoreError> {
        self.read_json(GOSSIP_KEYS)
    }

    pub fn set_gossip_keys(&self, keys: &GossipKeys) -> Result<(), StoreError> {
        self.write_json(GOSSIP_KEYS, keys, disk::SECRET)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What the enrolment of a node with this id might have given.
    pub(crate) fn enrolled(id: u128) -> Enrolled {
        Enrolled {
            node_id: NodeId(Uuid::from_u128(id)),
            fleet: FleetName::default_fleet(),
            certificate_pem: "a certificate".into(),
            ca_pem: "an authority".into(),
            lease_verifying_key: [0; 32],
            lease_verifying_keys: vec![],
            key_file: first_key_file(),
            managers: vec![],
            group: None,
        }
    }
}
