//! What the signals hold.

use krakend_api::{RolloutProgress, Session};
use serde::Deserialize;

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not asked yet.
    Unknown,
    Out,
    In(Session),
}

/// The state of the event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Connecting,
    Live,
    /// Since when nothing was heard, on the manager's clock.
    Reconnecting {
        heard_ms: i64,
    },
}

/// A value from the manager, and why its newest reading failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote<T> {
    pub value: Option<T>,
    pub failure: Option<String>,
}

impl<T> Default for Remote<T> {
    fn default() -> Self {
        Self {
            value: None,
            failure: None,
        }
    }
}

/// The newest version without its document.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Newest {
    pub number: u64,
    pub digest: String,
    pub author: String,
    pub message: String,
    pub published_at: String,
    pub rollout: RolloutProgress,
}
