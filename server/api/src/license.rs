use serde::{Deserialize, Serialize};

/// Where the licence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenseState {
    Valid,
    Expiring,
    Grace,
    /// No licence, or it is over: the built-in limits hold.
    Free,
}

/// What one manager found when it verified the installed licence with its own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseCheck {
    pub manager_id: String,
    /// Name of the manager.
    pub manager: String,
    pub at: String,
    /// Why it does not verify there; absent when it does.
    pub problem: Option<String>,
}

/// Answer of `GET /v1/license`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    pub state: LicenseState,
    /// Absent without an installed licence.
    pub subscriber: Option<String>,
    pub level: String,
    pub max_nodes: u32,
    pub seats_used: u32,
    /// Nodes above the maximum that were seated before it was lowered.
    pub over_by: u32,
    pub features: Vec<String>,
    pub not_before: Option<String>,
    pub expires_at: Option<String>,
    /// End of grace.
    pub grace_ends_at: Option<String>,
    pub days_left: Option<i64>,
    /// The limits without any licence.
    pub free_max_nodes: u32,
    /// Id of the only group that may install it; absent when any may.
    #[serde(default)]
    pub group: Option<String>,
    /// The last of 90, 30, 15 and 7 days that was reached; only while expiring.
    #[serde(default)]
    pub notice_days: Option<u32>,
    /// Every manager's own verification, newest of each.
    #[serde(default)]
    pub checks: Vec<LicenseCheck>,
}
