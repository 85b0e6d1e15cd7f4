use std::collections::BTreeMap;

use crate::{ClusterState, Command, Millis, NodeId, NodeRecord, NodeState};

/// How long a node may be silent before each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeCycleSettings {
    /// Silence after which a node that gossip never saw counts as unreachable.
    pub silent_ms: u64,
    /// `unreachable` to `down`.
    pub grace_ms: u64,
    /// `down` to `removed`.
    pub reap_ms: u64,
}

impl Default for LifeCycleSettings {
    fn default() -> Self {
        Self {
            silent_ms: 10_000,
            grace_ms: 60_000,
            reap_ms: 259_200_000,
        }
    }
}

/// What gossip says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GossipView {
    Alive,
    Suspect,
    Down,
    /// Said goodbye.
    Left,
    Unknown,
}

/// What the leader sees of a node at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// It has a session with this leader.
    pub session: bool,
    pub gossip: GossipView,
    /// Since the last sign of life that this leader saw, counted from its election at the earliest.
    pub silent_ms: u64,
}

/// The next life-cycle steps. Pure: the same state, observations and time give the same plan.
pub fn plan_life_cycle(
    state: &ClusterState,
    observed: &BTreeMap<NodeId, Observation>,
    now: Millis,
    settings: &LifeCycleSettings,
) -> Vec<Command> {
    state
        .nodes()
        .filter_map(|node| {
            let seen = observed.get(&node.id).copied().unwrap_or(Observation {
                session: false,
                gossip: GossipView::Unknown,
                silent_ms: 0,
            });
            next_step(node, seen, now, settings)
        })
        // Nobody is reaped on the word of a clock that jumped.
        .filter(|step| state.clock_hold().is_none() || !reaps(step))
        .collect()
}

fn reaps(step: &Command) -> bool {
    matches!(
        step,
        Command::SetNodeState {
            to: NodeState::Removed,
            ..
        }
    )
}

fn next_step(
    node: &NodeRecord,
    seen: Observation,
    now: Millis,
    settings: &LifeCycleSettings,
) -> Option<Command> {
    let alive = seen.session || matches!(seen.gossip, GossipView::Alive | GossipView::Suspect);
    let in_state_ms = now.saturating_sub(node.state_since_ms);
    let step = |to, reason: &str| {
        Some(Command::SetNodeState {
            node_id: node.id,
            from: node.state,
            from_since_ms: node.state_since_ms,
            to,
            reason: reason.into(),
        })
    };
    match node.state {
        NodeState::Active | NodeState::Unreachable
            if seen.gossip == GossipView::Left && !seen.session =>
        {
            Some(Command::LeaveNode {
                node_id: node.id,
                hold_seat: true,
            })
        }
        NodeState::Active if !alive && seen.gossip == GossipView::Down => step(
            NodeState::Unreachable,
            "gossip gave it up and its session is silent",
        ),
        NodeState::Active if !alive && seen.silent_ms >= settings.silent_ms => {
            step(NodeState::Unreachable, "neither gossip nor a session")
        }
        NodeState::Unreachable if alive => step(NodeState::Active, "it answers again"),
        NodeState::Unreachable if in_state_ms >= settings.grace_ms => {
            step(NodeState::Down, "silent for the whole grace period")
        }
        NodeState::Down if in_state_ms >= settings.reap_ms => {
            step(NodeState::Removed, "down for the whole reap time")
        }
        _ => None,
    }
}
