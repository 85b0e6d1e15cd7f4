use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Millis;

/// A piece of a body that is too large for one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Made for one request, so that no other one can take its pieces away.
    pub upload: Uuid,
    /// From 0.
    pub part: u32,
    /// Pieces of the whole body.
    pub parts: u32,
    /// At most [`Chunk::MAX_BYTES`].
    pub bytes: Bytes,
}

impl Chunk {
    pub const MAX_BYTES: usize = 256 * 1024;
    /// Pieces of one body; a document of 16 MiB that does not compress needs some more than 64.
    pub const MAX_PARTS: u32 = 72;
}

/// A body whose pieces arrive; it is published by an entry of its own, or forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedBody {
    pub since_ms: Millis,
    pub parts: u32,
    /// Bytes that have arrived.
    pub bytes: u64,
}

impl StagedBody {
    /// An upload takes seconds; one that is older than this was given up.
    pub const KEEP_MS: Millis = 600_000;
    /// Over all uploads.
    pub const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024;
}
