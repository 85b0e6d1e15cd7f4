use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/feature-level`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureLevel {
    /// Commands and formats up to this level may be used. It never falls: below it one can go back a version.
    pub level: u32,
    /// The highest that the answering manager supports.
    pub supported: u32,
    pub managers: Vec<ManagerFeatureLevel>,
}

/// What one manager supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerFeatureLevel {
    pub id: String,
    pub name: String,
    /// Absent when it has not answered the answering manager since that one's start; the leader asks all.
    pub supported: Option<u32>,
}
