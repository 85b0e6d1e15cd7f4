//! The node's life with a manager.

mod exchange;
mod follow;

pub use follow::{Farewell, Follower, Phase};

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
    /// This node may take part from now on: it does so with its next session.
    Granted,
    /// Too little of the lease is left: another registration renews it.
    Unrenewed,
    /// The lease has ended: this node must not take part any more.
    Ended,
}

impl End {
    /// A node that stops while it waits for a seat: it has nothing to say goodbye to.
    fn unseated() -> Self {
        Self::Refused {
            code: "no-seat".into(),
            message: "there was no seat".into(),
        }
    }
}
