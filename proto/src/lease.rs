use serde::{Deserialize, Serialize};

/// What a lease promises to one node. Travels as JSON with an Ed25519 signature over its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseClaims {
    pub group_id: String,
    pub node_id: String,
    pub level: String,
    pub max_nodes: u32,
    pub features: Vec<String>,
    /// UTC milliseconds of the leader's clock.
    pub issued_ms: u64,
    /// How long the node may charge against it.
    pub duration_ms: u64,
    pub epoch: u64,
}

/// A lease that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    #[error("the lease's claims cannot be read: {0}")]
    Malformed(String),
    #[error("the lease is made for node {0}")]
    OtherNode(String),
}

impl LeaseClaims {
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads claims whose signature has been verified, for the node `node_id`.
    pub fn read(bytes: &[u8], node_id: &str) -> Result<Self, LeaseError> {
        let claims: Self = serde_json::from_slice(bytes)
            .map_err(|error| LeaseError::Malformed(error.to_string()))?;
        if claims.node_id != node_id {
            return Err(LeaseError::OtherNode(claims.node_id));
        }
        Ok(claims)
    }
}
