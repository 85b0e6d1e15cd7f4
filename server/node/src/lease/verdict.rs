use krakend_domain::Millis;
use serde::{Deserialize, Serialize};

use super::{Meter, Reading};

/// Why a node has no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time has passed.
    Time,
    /// Its time has passed if the wall clock was right about how long the machine was off.
    WallClock,
}

impl Cause {
    /// Why a lease of this duration has ended.
    pub fn of(meter: &Meter, duration_ms: Millis) -> Self {
        match meter.charged_ms.saturating_sub(meter.by_wall_ms) < duration_ms {
            true => Self::WallClock,
            false => Self::Time,
        }
    }
}

/// What a manager's time tells of a lease that ended by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine was off for that long.
    Right,
    /// The wall clock was ahead by this much when the machine came up; the lease would still have run.
    SetForward { ahead_ms: Millis },
}

impl Verdict {
    /// Judges by the group's time at the moment of the reading.
    pub fn of(meter: &Meter, duration_ms: Millis, now: &Reading, group_ms: Millis) -> Self {
        // What was put right since the boot counts as well.
        let ahead_ms = (now.wall_ms as i64 - group_ms as i64).saturating_sub(meter.moved_ms);
        let ahead_ms = ahead_ms.max(0) as u64;
        let wrong_ms = ahead_ms.min(meter.by_wall_ms);
        match meter.charged_ms.saturating_sub(wrong_ms) < duration_ms {
            true => Self::SetForward { ahead_ms },
            false => Self::Right,
        }
    }
}
