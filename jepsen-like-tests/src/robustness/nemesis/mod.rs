//! What is done to the managers: a plan that follows from the seed alone, and the hand that carries it out.

mod execute;
mod hands;
mod members;
mod plan;
mod repair;
mod shape;

use clap::ValueEnum;

use super::workload::Workload;

pub use execute::{Band, Nemesis};
pub use hands::Hands;
pub use plan::{Fault, Lane, Pick, Step, hosts, plan};
pub use repair::Damaged;
pub use shape::Shape;

/// Kinds of faults that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Cuts between managers: halves, one alone, a bridge, one way.
    Partition,
    /// kill -9 of some, started again after a while or at once.
    Kill,
    /// SIGSTOP, and SIGCONT up to a minute later.
    Pause,
    /// Whoever leads is cut off, killed, or killed and started at once.
    Leader,
    /// kill -9 of all at the same moment.
    RestartAll,
    /// Flipped bits or a cut file on one manager, which must refuse to start and name the file, or heal; and never serve bad data.
    Corrupt,
    /// The data directory of one manager is emptied while it is down: it comes back under a new id, and the old one goes.
    Wipe,
    /// Managers come by join token and go again, and the lead is handed about.
    Membership,
    /// Power loss of some or all: what was not fsynced is gone. The managers then live on disks in this program's memory.
    Power,
    /// kill -9 of all, for longer than a lease of the workload `lease`, with which alone it comes unnamed.
    Blackout,
    /// Gossip packets forged, replayed, truncated, duplicated, to managers and nodes.
    Packets,
}

impl Kind {
    /// What is done when nothing is named.
    pub fn usual(workloads: &[Workload]) -> Vec<Self> {
        let mut kinds = Self::value_variants().to_vec();
        kinds.retain(|kind| *kind != Self::Blackout || workloads.contains(&Workload::Lease));
        kinds
    }
}
