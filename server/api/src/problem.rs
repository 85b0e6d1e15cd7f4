use serde::{Deserialize, Serialize};

use crate::Finding;

/// Content type of every error answer (RFC 9457).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// An error answer (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable: `urn:krakend-cluster-manager:problem:<kebab-case>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What, where, and what to do.
    pub detail: String,
    /// True when the write may have happened: read before you repeat it, or repeat it with the same Idempotency-Key.
    #[serde(default)]
    pub indeterminate: bool,
    /// Events gone: the oldest log index after which none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_index: Option<u64>,
    /// 429: seconds after which to try again, as the header Retry-After says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// What a check found, with line and column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Stale parent: the fleet's newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<crate::VersionSummary>,
    /// Stale parent: what the newer version changed, as a unified diff of the canonical documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Stale parent: the same by endpoint and backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<crate::ConfigurationChange>,
}
