use serde::{Deserialize, Serialize};

/// What a client asked of a manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A linearizable read of the newest version of the fleet that is this key.
    Read { key: usize },
    /// The same with `?consistency=stale`.
    StaleRead { key: usize },
    /// Publishes `value` on top of `parent`: a compare-and-set. `keyed`: with an Idempotency-Key, resent until it was decided.
    Publish {
        key: usize,
        parent: Option<u64>,
        value: u64,
        keyed: bool,
    },
    /// Makes an API token of this name, with an Idempotency-Key, resent until it was taken.
    CreateToken { name: String },
}

impl Action {
    /// The register that it is about, if any.
    pub fn key(&self) -> Option<usize> {
        match self {
            Self::Read { key } | Self::StaleRead { key } | Self::Publish { key, .. } => Some(*key),
            Self::CreateToken { .. } => None,
        }
    }
}

/// The fleet that is this key. The first is the one that every group has.
pub fn fleet(key: usize) -> String {
    match key {
        0 => "default".into(),
        key => format!("key-{key}"),
    }
}

/// A version as an answer showed it. The value is the harness's own number for the document, unique in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub number: u64,
    pub value: u64,
    pub digest: String,
}

/// What an answer showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The newest version; the log index that the manager had applied; the manager's run (0, 1, ... counting its starts)
    /// when it was the same before and after.
    Newest {
        version: Option<Version>,
        index: u64,
        run: Option<u32>,
    },
    Published {
        number: u64,
        index: u64,
    },
    /// Ids in the answer and in the answer to the same request sent once more.
    Token {
        id: String,
        again: Option<String>,
    },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok(Seen),
    /// Refused because the parent was not the newest version: nothing was written.
    Conflict,
    /// Nothing was written: not sent, or the manager said so.
    Failed(String),
    /// It may have happened, may happen later, or never.
    Indeterminate(String),
    /// An answer that the API does not allow here. Counts as indeterminate, and fails a check of its own.
    Unexpected(String),
}

/// One operation, from invocation to completion, in nanoseconds of the run's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub id: usize,
    pub client: usize,
    /// Number of the manager that was asked (last), from 0.
    pub manager: usize,
    pub action: Action,
    pub invoked_ns: u64,
    pub completed_ns: u64,
    pub outcome: Outcome,
}

impl Operation {
    /// Whether it may take effect at any time after its invocation.
    pub fn is_open(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Indeterminate(_) | Outcome::Unexpected(_)
        )
    }

    /// Whether it changes something when it takes effect.
    pub fn is_write(&self) -> bool {
        matches!(
            self.action,
            Action::Publish { .. } | Action::CreateToken { .. }
        )
    }
}

/// An event as a reader of the event stream got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub index: u64,
    pub position: u32,
    pub kind: String,
    pub fleet: Option<String>,
    pub version: Option<u64>,
    pub message: String,
}
