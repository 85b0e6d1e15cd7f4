use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::network::Clock;

/// What is wrong with this manager. Stays until its cause is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    /// Damaged files were set aside and are kept for whoever wants to look.
    DamagedFiles,
    /// The log or vote was damaged: this manager waits to take its old place under a new id.
    TakingOldPlace,
    /// This manager's state is not what the majority has: it is quarantined.
    StateDiverged,
    /// Said by the leader: the managers' states are not the same.
    StatesDiffer,
    /// Less room than the reserve is left on the disk: while this manager leads, the group takes no ordinary writes.
    DiskLow,
    /// The disk does not answer; this manager is about to stop.
    DiskStalled,
}

impl AlarmKind {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DamagedFiles => "damaged-files",
            Self::TakingOldPlace => "taking-old-place",
            Self::StateDiverged => "state-diverged",
            Self::StatesDiffer => "states-differ",
            Self::DiskLow => "disk-low",
            Self::DiskStalled => "disk-stalled",
        }
    }
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub kind: AlarmKind,
    /// What, where, and what to do.
    pub message: String,
    /// UTC in milliseconds, by this manager's clock.
    pub since_ms: u64,
}

/// The alarms that this manager raises by itself: one of a kind.
pub(crate) struct Alarms {
    clock: Clock,
    raised: Mutex<BTreeMap<AlarmKind, Alarm>>,
}

impl Alarms {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            raised: Mutex::default(),
        }
    }

    /// Raises an alarm, or says it in newer words.
    pub(crate) fn raise(&self, kind: AlarmKind, message: String) {
        let mut raised = self.lock();
        let since_ms = raised
            .get(&kind)
            .map_or_else(|| (self.clock)(), |it| it.since_ms);
        let alarm = Alarm {
            kind,
            message,
            since_ms,
        };
        let before = raised.insert(kind, alarm);
        drop(raised);
        if before.is_none() {
            tracing::warn!(alarm = kind.as_str(), "an alarm is raised");
        }
    }

    pub(crate) fn clear(&self, kind: AlarmKind) {
        if self.lock().remove(&kind).is_some() {
            tracing::info!(alarm = kind.as_str(), "an alarm is over");
        }
    }

    pub(crate) fn is_raised(&self, kind: AlarmKind) -> bool {
        self.lock().contains_key(&kind)
    }

    pub(crate) fn list(&self) -> Vec<Alarm> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AlarmKind, Alarm>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
