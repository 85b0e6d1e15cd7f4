use serde::{Deserialize, Serialize};

use crate::{Digest, FleetName, Millis, TokenId};

/// What the bearer of a token may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

/// An API token. Only its SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub id: TokenId,
    pub name: String,
    pub role: Role,
    pub sha256: Digest,
    pub created_by: String,
    /// `None`: until revoked.
    pub expires_ms: Option<Millis>,
}

/// What a join token lets its bearer become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinRole {
    #[default]
    Node,
    /// It hands out the group secret.
    Manager,
}

/// A token with which nodes obtain their certificate, or a new manager the group secret. Only its secret's SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRecord {
    pub id: TokenId,
    pub fleet: FleetName,
    pub secret_sha256: Digest,
    pub created_by: String,
    pub expires_ms: Millis,
    pub max_uses: u32,
    pub uses: u32,
    pub role: JoinRole,
}
