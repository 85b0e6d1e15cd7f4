use serde::{Deserialize, Serialize};

/// Answer of `POST /v1/fleets/{fleet}/versions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub number: u64,
    /// Lower-case hexadecimal SHA-256 of the canonical form (RFC 8785).
    pub digest: String,
    /// Log index that published it.
    pub index: u64,
    /// What was accepted but deserves a look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
}

/// One thing that a check of a configuration found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// Stable, kebab-case.
    pub code: String,
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    pub line: u64,
    pub column: u64,
    pub message: String,
}

/// One immutable version without its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSummary {
    pub number: u64,
    pub digest: String,
    pub parent: Option<String>,
    pub author: String,
    pub message: String,
    pub published_at: String,
    pub size_bytes: u64,
}

/// One immutable version with its document as it was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    #[serde(flatten)]
    pub summary: VersionSummary,
    pub document: serde_json::Value,
    pub rollout: RolloutProgress,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionList {
    pub versions: Vec<VersionSummary>,
    pub next_cursor: Option<String>,
}

/// How far the nodes that hold a seat are with the fleet's newest version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutProgress {
    pub applied: u32,
    pub pending: u32,
    pub refused: u32,
    pub total: u32,
    /// From publication to the last acknowledgement; absent while one is missing.
    pub took_ms: Option<u64>,
}

/// Answer of `GET /v1/fleets/{fleet}/diff?from=N&to=M`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationDiff {
    pub fleet: String,
    pub from: u64,
    pub to: u64,
    pub endpoints_added: u32,
    pub endpoints_changed: u32,
    pub endpoints_removed: u32,
    /// Structural: by endpoint and backend, then what is not in an endpoint.
    pub changes: Vec<ConfigurationChange>,
    /// Unified diff of the two documents, indented canonical form, all context lines included.
    pub unified: String,
}

/// One endpoint, or one part of the document outside of endpoints, that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationChange {
    pub kind: ChangeKind,
    /// `endpoint GET /a`, or a JSON pointer.
    pub subject: String,
    /// Method and path where it is an endpoint.
    pub method: Option<String>,
    pub endpoint: Option<String>,
    /// What is different, one line each: `timeout 2s → 3s`, `backend GET /x of http://a added`.
    pub details: Vec<String>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}

/// Body of `POST /v1/fleets/{fleet}/rollback`: publishes the content of version `to` as a new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    pub to: u64,
    #[serde(default)]
    pub message: String,
    /// Digest of the version that is newest as far as the caller knows; with another one it is refused with 409.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A gateway's configuration file that is not what its node wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub found_at: String,
    /// Path on the node's machine.
    pub file: String,
    /// SHA-256 of the file as the node wrote it, and as it is; the latter is empty when it is gone.
    pub expected_digest: String,
    pub found_digest: String,
    /// For people: edited by hand, or a gateway that another program started.
    pub reason: String,
}
