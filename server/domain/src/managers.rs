//! What the leader does about the group's own members.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ManagerId;

/// A change of the group's membership, as the event trail names it. Append at the end: the position is the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagerChange {
    Promoted,
    Removed,
    /// It is reached elsewhere than before.
    Moved,
    /// It was made the leader by an operator.
    Led,
}

/// When the leader acts by itself. Anchors: Consul's and Vault's autopilot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagerSettings {
    /// A learner becomes a voter after having been caught up and reachable for so long.
    pub promote_after_ms: u64,
    /// A voter that was silent for so long is removed; `None`: never.
    pub dead_after_ms: Option<u64>,
    /// The automatic removal keeps at least so many voters.
    pub min_voters: usize,
}

impl Default for ManagerSettings {
    fn default() -> Self {
        Self {
            promote_after_ms: 10_000,
            dead_after_ms: Some(86_400_000),
            min_voters: 3,
        }
    }
}

/// One member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerObservation {
    pub id: ManagerId,
    pub voter: bool,
    /// Where the membership says that it is.
    pub raft_address: String,
    /// Where it says itself that it is, when that differs.
    pub moved: bool,
    pub reachable: bool,
    /// Reachable and caught up without a break for so long; 0 while it is not.
    pub stable_ms: u64,
    /// Since it was last reached by this leader, counted from its election at the earliest.
    pub silent_ms: u64,
}

/// The group as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupObservation {
    /// A change of voters was begun and not finished, and none is under way.
    pub joint: bool,
    pub managers: Vec<ManagerObservation>,
}

/// One change of the membership. One is done at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagerStep {
    /// Leaves the joint membership that an earlier leader began.
    FinishJoint,
    Promote(ManagerId),
    /// Writes the member's new addresses into the membership.
    Move(ManagerId),
    Remove {
        id: ManagerId,
        reason: String,
    },
}

/// The next change, if one is due. Pure: the same observation gives the same step.
pub fn plan_managers(
    observed: &GroupObservation,
    settings: &ManagerSettings,
) -> Option<ManagerStep> {
    if observed.joint {
        return Some(ManagerStep::FinishJoint);
    }
    moved(observed)
        .or_else(|| promotion(observed, settings))
        .or_else(|| removal(observed, settings))
}

fn moved(observed: &GroupObservation) -> Option<ManagerStep> {
    let moved = observed.managers.iter().find(|it| it.moved)?;
    Some(ManagerStep::Move(moved.id))
}

fn promotion(observed: &GroupObservation, settings: &ManagerSettings) -> Option<ManagerStep> {
    let ready = observed
        .managers
        .iter()
        .find(|it| !it.voter && it.reachable && it.stable_ms >= settings.promote_after_ms.max(1))?;
    Some(ManagerStep::Promote(ready.id))
}

fn removal(observed: &GroupObservation, settings: &ManagerSettings) -> Option<ManagerStep> {
    observed.managers.iter().find_map(|it| {
        let reason = why_removed(it, observed, settings)?;
        is_removal_safe(it.id, observed).then_some(ManagerStep::Remove { id: it.id, reason })
    })
}

fn why_removed(
    it: &ManagerObservation,
    observed: &GroupObservation,
    settings: &ManagerSettings,
) -> Option<String> {
    if it.reachable {
        return None;
    }
    // Who answers at an address has proved its id there, so the other one is gone.
    let successor = observed.managers.iter().find(|other| {
        other.id != it.id
            && other.raft_address == it.raft_address
            && other.reachable
            && (other.voter || !it.voter)
    });
    if let Some(successor) = successor {
        return Some(format!(
            "{} runs at its address {}",
            successor.id, it.raft_address
        ));
    }
    let dead_after_ms = settings.dead_after_ms?;
    if it.silent_ms < dead_after_ms {
        return None;
    }
    let others = observed
        .managers
        .iter()
        .filter(|other| other.voter && other.id != it.id);
    if it.voter && others.count() < settings.min_voters {
        return None;
    }
    Some(format!("silent for {} s", it.silent_ms / 1000))
}

/// Whether the voters that remain have a majority that answers. A learner's removal is always safe.
pub fn is_removal_safe(id: ManagerId, observed: &GroupObservation) -> bool {
    let voters: Vec<_> = observed.managers.iter().filter(|it| it.voter).collect();
    if !voters.iter().any(|it| it.id == id) {
        return true;
    }
    let remaining: BTreeSet<_> = voters
        .iter()
        .filter(|it| it.id != id)
        .map(|it| it.id)
        .collect();
    let reachable = voters
        .iter()
        .filter(|it| it.reachable && remaining.contains(&it.id))
        .count();
    !remaining.is_empty() && reachable > remaining.len() / 2
}

#[cfg(test)]
mod tests;
