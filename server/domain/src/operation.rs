//! What operators do with single nodes.

use serde::{Deserialize, Serialize};

use crate::{Digest, Millis};

/// Whether a node shall take traffic: the newest word on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainOrder {
    /// Log index of that word. A node obeys no older one, compared after the epoch.
    pub index: u64,
    pub draining: Option<Draining>,
}

/// A node that shall take no new traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    pub since_ms: Millis,
    pub by: String,
}

/// A gateway's file that is not what its node wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDrift {
    pub found_ms: Millis,
    /// Path on the node's machine.
    pub file: String,
    /// SHA-256 of the file as it was written.
    pub expected: Digest,
    /// SHA-256 of the file as it is; `None` when it is gone or cannot be read.
    pub found: Option<Digest>,
    /// One line for people.
    pub reason: String,
}

impl FileDrift {
    /// Whether it tells the same, whenever it was found.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.file.clone(), it.expected, it.found);
        of(self) == of(other)
    }
}
