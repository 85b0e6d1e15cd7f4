//! What the signals hold.

use std::pin::Pin;
use std::sync::Arc;

use krakend_api::{RolloutProgress, Session};
use serde::Deserialize;

use super::api::Failure;

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

/// A question before something that matters.
#[derive(Clone)]
pub struct Ask {
    pub title: String,
    /// What follows: the part in bold, then the rest.
    pub consequence: Vec<(String, String)>,
    /// What must be typed, for what cannot be undone.
    pub typed: Option<String>,
    pub safe: String,
    pub danger: String,
    /// False for what is only a decision.
    pub dangerous: bool,
    pub run: Act,
}

/// Does it; the sentence for the toast.
pub type Act =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, Failure>>>> + Send + Sync>;

/// Another manager that answers while the page's own does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub name: String,
    /// Of the same page.
    pub address: String,
}

/// A short message at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub text: String,
    pub failed: bool,
}

/// How far each manager was behind at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Lag {
    pub at_ms: i64,
    pub behind: Vec<(String, u64)>,
    pub applied_index: u64,
}
