use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/secret`. Secrets are known by name; none is ever shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretStatus {
    /// What signs, seals and certifies.
    pub in_use: String,
    /// When the group began to use it.
    pub since: Option<String>,
    /// What to do next, for people.
    pub next: String,
    pub managers: Vec<ManagerSecrets>,
    pub secrets: Vec<Secret>,
}

/// What one manager holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerSecrets {
    pub id: String,
    pub name: String,
    pub voter: bool,
    /// Newest first; absent when it has not answered the answering manager since that one's start; the leader asks all.
    pub holds: Option<Vec<String>>,
    pub uses: Option<String>,
}

/// Who needs one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub id: String,
    pub in_use: bool,
    /// Managers that are known to hold it.
    pub managers: u32,
    /// Nodes whose certificate it signed, or of which that is not known yet.
    pub nodes: u32,
    /// The first of them.
    pub node_names: Vec<String>,
    /// Join tokens that pin its authority and can be used; absent where the answering manager does not hold it.
    pub join_tokens: Option<u32>,
    /// API tokens whose text derives from it: they stay valid without it, and whoever knows it can tell their text.
    pub api_tokens: Option<u32>,
}
