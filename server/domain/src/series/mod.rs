//! Statistics over time: windows of a minute and of an hour, of fleets and of nodes, packed into bytes that are merged
//! without being unpacked. A percentile always comes from merged sketches.

mod bins;
mod merged;
mod pack;
mod packed;
mod query;
mod query_rows;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FleetName, Millis, NodeId};

pub use merged::Merged;
pub use packed::{Cells, Header, Kind, Packed};
pub use query::{
    Order, QueryError, StatisticsAnswer, StatisticsQuery, StepFigures, plan_step, query_statistics,
};
pub use query_rows::{ErrorRow, NodeRow, ProcessStep, Row, SeriesRow};

/// Length of a minute's window.
pub const MINUTE_MS: u64 = 60_000;
/// Length of an hour's window.
pub const HOUR_MS: u64 = 3_600_000;
/// Where everything beyond the bound on series is summed.
pub const OTHER_SERIES: &str = "(other)";
/// Unless a manager's settings say otherwise.
pub const DEFAULT_STATISTICS_BYTES: u64 = 512 << 20;
/// Less is not worth having.
pub const MIN_STATISTICS_BYTES: u64 = 1 << 20;
/// What a window costs besides its content: key, map and allocation.
pub(crate) const WINDOW_OVERHEAD_BYTES: u64 = 160;
/// A minute is folded into its hour when it is so old; what comes later is added to both.
pub(crate) const FOLD_AFTER_MS: u64 = 2 * MINUTE_MS;
/// A node's clock may be ahead by so much; later samples count as of now, or they would never run out.
pub(crate) const AHEAD_MS: u64 = 10 * MINUTE_MS;
/// Late minutes that are remembered for whoever passes windows on.
pub(crate) const MAX_LATE: usize = 1_440;

/// What a window is of. Append at the end: the position is the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Endpoints and backends of one node in a minute.
    NodeDetail,
    /// Totals of one node in a minute.
    NodeMinute,
    /// Endpoints and backends of a fleet in a minute.
    FleetMinute,
    /// Totals of one node in an hour.
    NodeHour,
    /// Endpoints and backends of a fleet in an hour.
    FleetHour,
    /// Everything that a fleet has ever counted, for counters that never go back.
    FleetTotal,
}

/// Key of a window: by time before fleet, so that the oldest come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    pub tier: Tier,
    pub start_ms: Millis,
    pub fleet: FleetName,
    /// Nil for a fleet's.
    pub node_id: NodeId,
}

/// How far windows have been folded and passed on, and how much they may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesMeta {
    /// Minutes before this are part of their hours; 0 before the first sample.
    pub folded_until_ms: Millis,
    /// Above it the oldest windows go.
    pub max_bytes: u64,
    /// Minutes before this were passed on; 0: nobody wants them.
    pub exported_until_ms: Millis,
    /// Folded minutes that changed since, oldest first, each with the log index of its last change. Only while
    /// windows are passed on.
    pub late: Vec<(Millis, u64)>,
    /// Windows that went before their time, for lack of room.
    pub evicted: u64,
}

impl Default for SeriesMeta {
    fn default() -> Self {
        Self {
            folded_until_ms: 0,
            max_bytes: DEFAULT_STATISTICS_BYTES,
            exported_until_ms: 0,
            late: Vec::new(),
            evicted: 0,
        }
    }
}

impl Tier {
    pub(crate) const ALL: [Self; 6] = [
        Self::NodeDetail,
        Self::NodeMinute,
        Self::FleetMinute,
        Self::NodeHour,
        Self::FleetHour,
        Self::FleetTotal,
    ];

    /// For how long windows are kept; `None`: for good.
    pub fn keep_ms(self) -> Option<u64> {
        match self {
            Self::NodeDetail => Some(HOUR_MS),
            Self::NodeMinute | Self::FleetMinute => Some(24 * HOUR_MS),
            Self::NodeHour | Self::FleetHour => Some(30 * 24 * HOUR_MS),
            Self::FleetTotal => None,
        }
    }
}

impl SeriesKey {
    pub fn of_fleet(tier: Tier, start_ms: Millis, fleet: &FleetName) -> Self {
        Self::of_node(tier, start_ms, fleet, NodeId(Uuid::nil()))
    }

    pub fn of_node(tier: Tier, start_ms: Millis, fleet: &FleetName, node_id: NodeId) -> Self {
        Self {
            tier,
            start_ms,
            fleet: fleet.clone(),
            node_id,
        }
    }
}

/// The window's start.
pub(crate) fn floor(at_ms: Millis, length_ms: u64) -> Millis {
    at_ms - at_ms % length_ms
}
