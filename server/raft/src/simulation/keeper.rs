//! The manager's keeper of the membership, in small: the same planner, fed with what the leader sees.

use std::{collections::BTreeMap, time::Duration};

use krakend_domain::{
    GroupObservation, ManagerObservation, ManagerSettings, ManagerStep, plan_managers,
};
use uuid::Uuid;

use crate::{group::GroupHandle, rt::Instant};

const CAUGHT_UP_WITHIN: u64 = 250;
const JOINT_AFTER: Duration = Duration::from_millis(1_500);
/// Shorter than in a real group, so that a run sees them happen.
const SETTINGS: ManagerSettings = ManagerSettings {
    promote_after_ms: 800,
    dead_after_ms: Some(6_000),
    min_voters: 3,
};

pub(super) struct Keeper {
    since: Instant,
    reached: BTreeMap<Uuid, Instant>,
    stable: BTreeMap<Uuid, Instant>,
    joint: Option<Instant>,
}

impl Keeper {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            reached: BTreeMap::new(),
            stable: BTreeMap::new(),
            joint: None,
        }
    }

    /// Looks once, and makes at most one change.
    pub(super) async fn step(&mut self, group: &GroupHandle) {
        let observed = self.observe(group);
        let Some(step) = plan_managers(&observed, &SETTINGS) else {
            return;
        };
        // What fails is planned again.
        let _ = match step {
            ManagerStep::FinishJoint => group.finish_joint().await,
            ManagerStep::Promote(id) => group.promote(id).await,
            ManagerStep::Remove { id, .. } => group.remove(id).await,
            ManagerStep::Move(_) => Ok(()),
        };
    }

    fn observe(&mut self, group: &GroupHandle) -> GroupObservation {
        let status = group.status();
        let now = Instant::now();
        match status.joint {
            true => drop(self.joint.get_or_insert(now)),
            false => self.joint = None,
        }
        let last = status.last_log_index.unwrap_or(0);
        let managers = status.members.iter().map(|member| {
            let reachable = member.reachable == Some(true);
            if reachable {
                self.reached.insert(member.id, now);
            }
            let matched = member.matched.unwrap_or(0);
            let stable = reachable && matched + CAUGHT_UP_WITHIN >= last;
            if !stable {
                self.stable.remove(&member.id);
            }
            let stable_ms = match stable {
                true => millis(now - *self.stable.entry(member.id).or_insert(now)),
                false => 0,
            };
            let reached = self.reached.get(&member.id).copied().unwrap_or(self.since);
            ManagerObservation {
                id: member.id,
                voter: member.voter,
                raft_address: member.node.raft_address.clone(),
                moved: false,
                reachable,
                stable_ms,
                silent_ms: millis(now - reached),
            }
        });
        let managers = managers.collect();
        GroupObservation {
            joint: self.joint.is_some_and(|at| now - at >= JOINT_AFTER),
            managers,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
