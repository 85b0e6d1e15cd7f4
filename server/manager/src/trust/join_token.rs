use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use krakend_domain::{Digest, FleetName};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::GroupSecret;

/// A join token as it is handed to a node's operator. State keeps only its secret's SHA-256.
pub struct JoinToken {
    pub id: Uuid,
    secret: Zeroizing<[u8; 32]>,
}

#[derive(Serialize)]
struct Text<'a> {
    id: String,
    secret: String,
    fleet: &'a str,
    ca_sha256: String,
}

impl JoinToken {
    /// Its secret derives from the group's and the id, so that a repeated request gets the same token again.
    pub fn of(group: &GroupSecret, id: Uuid) -> Self {
        Self {
            id,
            secret: group.derive("join-token", id.as_bytes()),
        }
    }

    pub fn secret_sha256(&self) -> Digest {
        Digest(Sha256::digest(self.secret.as_ref()).into())
    }

    /// `kjt1.` and base64url of JSON: id, secret, fleet, and the authority's fingerprint that a node pins.
    pub fn text(&self, fleet: &FleetName, authority: Digest) -> String {
        let text = Text {
            id: self.id.to_string(),
            secret: URL_SAFE_NO_PAD.encode(self.secret.as_ref()),
            fleet: fleet.as_str(),
            ca_sha256: authority.to_string(),
        };
        // Strings only: serialising cannot fail.
        let json = Zeroizing::new(serde_json::to_vec(&text).unwrap_or_default());
        format!("kjt1.{}", URL_SAFE_NO_PAD.encode(json.as_slice()))
    }
}
