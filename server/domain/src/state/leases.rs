//! Nodes whose lease has ended while nobody heard of them: they have gone to the free version.

use std::collections::BTreeSet;

use super::{ClusterState, Transaction};
use crate::{EventKind, Millis, NodeId, NodeRecord, NodeState};

/// Managers below it do not tell of leases, and all must write the same events.
const LEVEL: u32 = 6;
/// An end that is longer ago is no news. Within this time the events themselves remember what was told, so no record has to.
const NEWS_MS: Millis = 6 * 3_600_000;
/// A node leaves gossip up to this long before its lease has ended by the group's reckoning, because it charges more time.
const LEAVES_BEFORE_MS: Millis = 120_000;

impl ClusterState {
    /// Since when a node that is not here serves with the free limits, as far as the group knows: the end of its lease. None for
    /// one that is here, whose lease goes on, or that was removed before that: such a one was stopped, and serves nothing.
    pub fn free_version_since(&self, node: &NodeRecord, now: Millis) -> Option<Millis> {
        let end_ms = node.lease_until_ms;
        let ended = end_ms > 0 && end_ms <= self.decision_time(now);
        let serves = match node.state {
            NodeState::Active => false,
            NodeState::Unreachable | NodeState::Down => true,
            NodeState::Removed => node.state_since_ms.saturating_add(LEAVES_BEFORE_MS) >= end_ms,
        };
        (ended && serves).then_some(end_ms)
    }
}

impl Transaction<'_> {
    /// With each tick, so within a minute; once for each end.
    pub(super) fn tell_ended_leases(&mut self) {
        if self.state.meta.feature_level < LEVEL {
            return;
        }
        let now = self.now;
        let oldest = self.state.decision_time(now).saturating_sub(NEWS_MS);
        let ended = self.state.nodes.values().filter(|node| {
            let since = self.state.free_version_since(node, now);
            since.is_some_and(|since| since > oldest)
        });
        let ended: Vec<NodeRecord> = ended.cloned().collect();
        if ended.is_empty() {
            return;
        }
        let told = self.told_since(oldest);
        for node in ended {
            if !told.contains(&(node.id, node.lease_until_ms)) {
                let text = format!(
                    "{}: its lease has ended and nobody has heard of it: it serves with the limits of the free version",
                    node.name
                );
                self.event(EventKind::NodeLeaseEnded, text).node(&node);
            }
        }
    }

    /// Ends of leases of which there are events. A lease that was renewed after its event ends at a later time than that.
    fn told_since(&self, oldest: Millis) -> BTreeSet<(NodeId, Millis)> {
        let events = self.state.events.iter().rev().map(|(_, event)| event);
        let events = events.take_while(|event| event.time_ms >= oldest);
        let told = events.filter(|event| event.kind == EventKind::NodeLeaseEnded);
        told.filter_map(|event| {
            let node = self.state.nodes.get(&NodeId(event.subject_id?))?;
            (node.lease_until_ms <= event.time_ms).then_some((node.id, node.lease_until_ms))
        })
        .collect()
    }

    /// What is to be said of a node that comes back.
    pub(super) fn was_free(&self, before: &NodeRecord) -> &'static str {
        let since = self.state.free_version_since(before, self.now);
        match since {
            Some(_) if self.state.meta.feature_level >= LEVEL => {
                ": its lease had ended, and it served with the limits of the free version"
            }
            _ => "",
        }
    }
}
