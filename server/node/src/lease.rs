//! The signed limits a node holds.
//!
//! The remaining time is what both clocks agree on: the wall clock since the lease was issued, and CLOCK_BOOTTIME since
//! it was received in this boot. Setting the wall clock back therefore stretches nothing while the machine runs.
//! A machine that is switched off *and* whose clock is set back is not covered yet: across boots only the wall clock counts.

use ed25519_dalek::{Signature, VerifyingKey};
use krakend_domain::Millis;
use krakend_proto::{LeaseClaims, LeaseError, node};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::disk;
use crate::store::{Enrolled, Store, StoreError};

const FILE: &str = "lease.json";

/// A lease as it lies on disk: `lease.json`.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    claims: Vec<u8>,
    signature: Vec<u8>,
    boot_id: String,
    received_boot_ms: Millis,
}

/// A verified lease.
#[derive(Clone, Debug)]
pub struct Lease {
    pub claims: LeaseClaims,
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
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Lease {
    /// Verifies what a manager sent and stores it.
    pub fn accept(
        store: &Store,
        enrolled: &Enrolled,
        sent: &node::Lease,
    ) -> Result<Self, BadLease> {
        let stored = Stored {
            claims: sent.claims.to_vec(),
            signature: sent.signature.to_vec(),
            boot_id: clock::boot_id(),
            received_boot_ms: clock::boot_ms(),
        };
        let lease = stored.verify(enrolled)?;
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        let path = store.path(FILE);
        disk::write(&path, &bytes, disk::SECRET).map_err(StoreError::from)?;
        Ok(lease)
    }

    /// The lease of an earlier run; `None` when there is none or it does not verify.
    pub fn load(store: &Store, enrolled: &Enrolled) -> Option<Self> {
        let bytes = disk::read(&store.path(FILE)).ok()??;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        stored.verify(enrolled).ok()
    }

    /// Milliseconds until it runs out.
    pub fn remaining_ms(&self) -> Millis {
        let booted = (self.boot_id == clock::boot_id())
            .then(|| clock::boot_ms().saturating_sub(self.received_boot_ms));
        remaining(&self.claims, clock::wall_ms(), booted)
    }
}

impl Stored {
    fn verify(&self, enrolled: &Enrolled) -> Result<Lease, BadLease> {
        let signature = Signature::from_slice(&self.signature).map_err(|_| BadLease::Signature)?;
        let signed = enrolled.lease_keys().iter().any(|key| {
            let key = VerifyingKey::from_bytes(key);
            key.is_ok_and(|key| key.verify_strict(&self.claims, &signature).is_ok())
        });
        if !signed {
            return Err(BadLease::Signature);
        }
        Ok(Lease {
            claims: LeaseClaims::read(&self.claims, &enrolled.node_id.to_string())?,
            boot_id: self.boot_id.clone(),
            received_boot_ms: self.received_boot_ms,
        })
    }
}

/// `since_receipt_ms`: by CLOCK_BOOTTIME, when it was received in this boot.
fn remaining(claims: &LeaseClaims, wall_ms: Millis, since_receipt_ms: Option<Millis>) -> Millis {
    let by_wall = wall_ms.saturating_sub(claims.issued_ms);
    let spent = by_wall.max(since_receipt_ms.unwrap_or(0));
    claims.duration_ms.saturating_sub(spent)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use krakend_domain::{FleetName, NodeId};
    use uuid::Uuid;

    use super::*;

    fn claims(node: Uuid) -> LeaseClaims {
        LeaseClaims {
            group_id: "g".into(),
            node_id: node.to_string(),
            level: "free".into(),
            max_nodes: 3,
            features: vec![],
            issued_ms: 1_000,
            duration_ms: 10_000,
            epoch: 1,
        }
    }

    #[test]
    fn the_remaining_time_is_the_smaller_of_both_clocks() {
        let claims = claims(Uuid::nil());
        assert_eq!(remaining(&claims, 4_000, None), 7_000);
        assert_eq!(remaining(&claims, 4_000, Some(9_000)), 1_000);
        assert_eq!(remaining(&claims, 500, Some(2_000)), 8_000);
        assert_eq!(remaining(&claims, 99_000, Some(0)), 0);
    }

    #[test]
    fn only_a_lease_of_this_group_for_this_node_is_accepted() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let node_id = Uuid::from_u128(1);
        let enrolled = Enrolled {
            node_id: NodeId(node_id),
            fleet: FleetName::default_fleet(),
            certificate_pem: String::new(),
            ca_pem: String::new(),
            lease_verifying_key: key.verifying_key().to_bytes(),
            lease_verifying_keys: vec![],
            key_file: "node.key".into(),
            managers: vec![],
        };
        let sign = |key: &SigningKey, node| {
            let claims = claims(node).to_bytes();
            let signature = key.sign(&claims).to_bytes().to_vec().into();
            node::Lease {
                claims: claims.into(),
                signature,
            }
        };
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opened");
        let accept = |lease: &node::Lease| Lease::accept(&store, &enrolled, lease).is_ok();
        assert!(!accept(&sign(&SigningKey::from_bytes(&[4; 32]), node_id)));
        assert!(!accept(&sign(&key, Uuid::from_u128(2))));
        assert!(Lease::load(&store, &enrolled).is_none());
        assert!(accept(&sign(&key, node_id)));
        assert!(Lease::load(&store, &enrolled).is_some());
        let next = SigningKey::from_bytes(&[5; 32]);
        let keys = [&next, &key].map(|key| key.verifying_key().to_bytes());
        let both = Enrolled {
            lease_verifying_keys: keys.to_vec(),
            ..enrolled.clone()
        };
        assert!(
            Lease::load(&store, &both).is_some(),
            "the old one still counts"
        );
        assert!(Lease::accept(&store, &both, &sign(&next, node_id)).is_ok());
        assert!(
            Lease::load(&store, &enrolled).is_none(),
            "and now the new one"
        );
    }
}
