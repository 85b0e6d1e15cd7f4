use ed25519_dalek::{Signer, SigningKey};
use krakend_proto::{LeaseClaims, node};

use super::GroupSecret;

/// Signs leases. Every manager of the group derives the same key.
pub struct LeaseSigner(SigningKey);

impl LeaseSigner {
    pub fn derive(secret: &GroupSecret) -> Self {
        Self(SigningKey::from_bytes(
            &secret.derive("lease-signing-key", b""),
        ))
    }

    /// What nodes verify with: 32 bytes.
    pub fn verifying_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub fn sign(&self, claims: &LeaseClaims) -> node::Lease {
        let claims = claims.to_bytes();
        let signature = self.0.sign(&claims).to_bytes().to_vec();
        node::Lease {
            claims: claims.into(),
            signature: signature.into(),
            heard_ms: 0,
        }
    }
}
