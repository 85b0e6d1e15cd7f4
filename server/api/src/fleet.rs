use serde::{Deserialize, Serialize};

/// A named set of nodes that share one configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    pub name: String,
    pub nodes: u32,
    /// Number of the newest version; absent before the first publication.
    pub version: Option<u64>,
    pub digest: Option<String>,
    pub generation: u64,
}

/// Answer of `GET /v1/fleets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetList {
    pub fleets: Vec<Fleet>,
}
