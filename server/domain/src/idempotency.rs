use serde::{Deserialize, Serialize};

use crate::{Applied, Digest, Millis, Rejected};

/// The first answer to an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    pub request: Digest,
    pub index: u64,
    pub at_ms: Millis,
    pub result: Result<Applied, Rejected>,
}

impl IdempotencyRecord {
    /// How long a key is remembered, in log time.
    pub const KEEP_MS: u64 = 24 * 3_600_000;
    /// How many keys are remembered; the oldest goes first.
    pub const MAX: usize = 100_000;
}
