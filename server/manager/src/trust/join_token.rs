use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use krakend_domain::{Digest, FleetName, JoinRole};
use krakend_proto::join::TokenText;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Held;

/// A join token as it is made for an operator. State keeps only its secret's SHA-256.
pub struct JoinToken {
    pub id: Uuid,
    secret: Zeroizing<[u8; 32]>,
    /// The authority that it pins.
    authority: Digest,
}

impl JoinToken {
    /// Its secret derives from the group's and the id, so that a repeated request gets the same token again.
    pub fn of(group: &Held, id: Uuid) -> Self {
        Self {
            id,
            secret: group.secret.derive("join-token", id.as_bytes()),
            authority: group.authority.fingerprint(),
        }
    }

    pub fn secret_sha256(&self) -> Digest {
        Digest(Sha256::digest(self.secret.as_ref()).into())
    }

    /// The text for the bearer: id, secret, role, fleet, the authority's fingerprint that is pinned, and managers to ask.
    pub fn text(&self, role: JoinRole, fleet: &FleetName, managers: Vec<String>) -> String {
        TokenText {
            id: self.id,
            secret: URL_SAFE_NO_PAD.encode(self.secret.as_ref()),
            fleet: fleet.to_string(),
            ca_sha256: self.authority.to_string(),
            role,
            managers,
        }
        .encode()
    }
}
