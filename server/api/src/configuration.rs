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
