use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Digest, FleetName, Millis};

/// One immutable configuration version of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    pub fleet: FleetName,
    /// From 1, without holes.
    pub number: u64,
    pub digest: Digest,
    pub parent: Option<Digest>,
    /// The order that made it the desired one.
    pub generation: u64,
    pub author: String,
    pub message: String,
    pub published_ms: Millis,
    pub size_bytes: u64,
    /// The document as published, compressed with zstd.
    pub body: Bytes,
}
