use ed25519_dalek::{Signature, VerifyingKey};
use krakend_domain::Millis;
use krakend_proto::{LeaseClaims, LeaseError};
use serde::{Deserialize, Serialize};

use super::{Meter, Reading};
use crate::disk;
use crate::store::sealed::{Unsealed, seal, unseal};
use crate::store::{Enrolled, Store, StoreError};

const FILE: &str = "lease.json";

/// A lease as it lies on disk, readable by its owner only: `lease.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    claims: Vec<u8>,
    signature: Vec<u8>,
    pub meter: Meter,
    /// When its end was noticed, by the wall clock.
    pub ended_wall_ms: Option<Millis>,
}

/// As programs wrote it that charged by the time of receipt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    claims: Vec<u8>,
    signature: Vec<u8>,
    boot_id: String,
    received_boot_ms: Millis,
}

/// A lease that is not accepted; the one before stays.
#[derive(Debug, thiserror::Error)]
pub enum BadLease {
    #[error("the lease is not signed by this group")]
    Signature,
    #[error(transparent)]
    Claims(#[from] LeaseError),
    #[error("the lease is of group {given}, and this node belongs to {ours}")]
    OtherGroup { given: String, ours: String },
    #[error("the lease is of epoch {given}, and this node has one of epoch {held}")]
    OlderEpoch { given: u64, held: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Stored {
    /// A lease as it came.
    pub fn new(claims: &[u8], signature: &[u8], meter: Meter) -> Self {
        Self {
            claims: claims.to_vec(),
            signature: signature.to_vec(),
            meter,
            ended_wall_ms: None,
        }
    }

    /// The lease of an earlier run; `None` when there is none. A file that cannot be read is an error: it may have been
    /// valid, but nobody can know.
    pub fn load(store: &Store, now: &Reading) -> Result<Option<Self>, StoreError> {
        let path = store.path(FILE);
        let Some(bytes) = disk::read(&path)? else {
            return Ok(None);
        };
        let malformed = |reason: String| StoreError::Malformed {
            path: path.display().to_string(),
            reason,
        };
        match unseal(&bytes).map_err(malformed)? {
            Unsealed::Whole(stored) => Ok(Some(stored)),
            Unsealed::Unproved(value) => {
                let first = serde_json::from_value::<First>(value);
                let first = first.map_err(|error| malformed(error.to_string()))?;
                Ok(Some(first.convert(now)))
            }
        }
    }

    /// Returns after it is on disk.
    pub fn save(&self, store: &Store) -> Result<(), StoreError> {
        // Numbers and strings only: this cannot fail.
        let bytes = seal(self).unwrap_or_default();
        Ok(disk::write(&store.path(FILE), &bytes, disk::SECRET)?)
    }

    /// What is gone already is no error.
    pub fn remove(store: &Store) -> Result<(), StoreError> {
        let path = store.path(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(disk::DiskError::at(&path)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// What it promises, once it has proved to be for this node and of this group.
    pub fn verify(&self, enrolled: &Enrolled) -> Result<LeaseClaims, BadLease> {
        let signature = Signature::from_slice(&self.signature).map_err(|_| BadLease::Signature)?;
        let signed = enrolled.lease_keys().iter().any(|key| {
            let key = VerifyingKey::from_bytes(key);
            key.is_ok_and(|key| key.verify_strict(&self.claims, &signature).is_ok())
        });
        if !signed {
            return Err(BadLease::Signature);
        }
        let claims = LeaseClaims::read(&self.claims, &enrolled.node_id.to_string())?;
        #[cfg(feature = "planted-bugs")]
        let claims = LeaseClaims {
            duration_ms: crate::planted::believed_ms(claims.duration_ms),
            ..claims
        };
        let Some(group) = &enrolled.group else {
            return Ok(claims);
        };
        if claims.epoch < group.epoch {
            return Err(BadLease::OlderEpoch {
                given: claims.epoch,
                held: group.epoch,
            });
        }
        // A restore or a recovery makes another group of it, always with a newer epoch.
        if claims.epoch == group.epoch && claims.group_id != group.id {
            return Err(BadLease::OtherGroup {
                given: claims.group_id,
                ours: group.id.clone(),
            });
        }
        Ok(claims)
    }
}

impl First {
    fn convert(self, now: &Reading) -> Stored {
        let issued_ms = serde_json::from_slice::<LeaseClaims>(&self.claims);
        let issued_ms = issued_ms.map_or(0, |claims| claims.issued_ms);
        let age_ms = match self.boot_id == now.boot_id {
            true => now.boot_ms.saturating_sub(self.received_boot_ms),
            false => now.wall_ms.saturating_sub(issued_ms),
        };
        Stored::new(
            &self.claims,
            &self.signature,
            Meter::begin(age_ms, now.clone()),
        )
    }
}
