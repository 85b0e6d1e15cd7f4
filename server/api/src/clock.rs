use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/clock`: what time it is for the group, and whose clock says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The state's time: what leases, licence and reaping go by.
    pub state_time: String,
    /// The answering manager's own clock.
    pub manager_time: String,
    /// A jump ahead that waits for `POST /v1/clock/confirm` or `/v1/clock/reset`.
    pub hold: Option<ClockHold>,
    pub managers: Vec<ManagerClock>,
}

/// A stamp that jumped ahead. Lease, licence and reap decisions are taken at `from` until an operator speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockHold {
    pub from: String,
    pub to: String,
    /// Log index of the entry with that stamp.
    pub index: u64,
    /// The manager that led then.
    pub manager_id: Option<String>,
    pub manager_name: Option<String>,
}

/// One manager's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerClock {
    pub id: String,
    pub name: String,
    /// Ahead of the answering manager's clock, in milliseconds, right within half of `round_trip_ms`. The leader
    /// knows all; another manager only those that it asked lately.
    pub ahead_ms: Option<i64>,
    pub round_trip_ms: Option<u64>,
    /// More than five seconds from the median of the voters: as leader it stamps nothing.
    pub off: bool,
}
