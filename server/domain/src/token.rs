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

/// What narrows a token's role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenScope {
    /// It changes these fleets and what belongs to them, and nothing else; empty: no such bound. Reading is not bound.
    pub fleets: Vec<FleetName>,
    /// Requests that one manager takes from it in a second.
    pub requests_per_s: Option<u32>,
    /// Requests that one manager works on for it at a time.
    pub concurrent: Option<u32>,
}

impl std::fmt::Display for TokenScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.fleets.is_empty() {
            let names: Vec<_> = self.fleets.iter().map(FleetName::as_str).collect();
            write!(f, ", fleet {}", names.join(" "))?;
        }
        if let Some(rate) = self.requests_per_s {
            write!(f, ", {rate} requests/s")?;
        }
        match self.concurrent {
            Some(concurrent) => write!(f, ", {concurrent} at a time"),
            None => Ok(()),
        }
    }
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
