//! The node's life with a manager.

mod exchange;
mod follow;

pub use follow::{Follower, Phase};

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The manager does not lead. Empty: it knows no leader.
    Redirect {
        leader: String,
        managers: Vec<String>,
    },
    Refused {
        code: String,
        message: String,
    },
    /// Gossip names a newer leader.
    Moved,
    Lost(String),
    /// The manager has committed the goodbye.
    Left,
}
