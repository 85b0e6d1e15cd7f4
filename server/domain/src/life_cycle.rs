use std::collections::{BTreeMap, VecDeque};

use crate::{ClusterState, Command, Millis, NodeId, NodeRecord, NodeState};

/// How long a node may be silent before each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeCycleSettings {
    /// Silence after which a node counts as unreachable that gossip never saw, or that this leader never heard of.
    pub silent_ms: u64,
    /// `unreachable` to `down`.
    pub grace_ms: u64,
    /// `down` to `removed`.
    pub reap_ms: u64,
    /// A session without gossip for so long is told as blocked UDP.
    pub blocked_ms: u64,
}

impl Default for LifeCycleSettings {
    fn default() -> Self {
        Self {
            silent_ms: 10_000,
            grace_ms: 60_000,
            reap_ms: 259_200_000,
            blocked_ms: 30_000,
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

impl GossipView {
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// What the leader sees of a node at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// It has a session with this leader.
    pub session: bool,
    pub gossip: GossipView,
    /// Since the last sign of life that this leader saw, counted from its election at the earliest.
    pub silent_ms: u64,
    /// Whether this leader ever had a sign of life from it.
    pub seen: bool,
    /// It said goodbye in gossip after its last sign of life.
    pub left: bool,
    /// How long it has had a session that gossip knows nothing of.
    pub blocked_ms: u64,
    /// How often it became unreachable lately, see [`FlapHistory`].
    pub flaps: u32,
}

impl Default for Observation {
    fn default() -> Self {
        Self {
            session: false,
            gossip: GossipView::Unknown,
            silent_ms: 0,
            seen: false,
            left: false,
            blocked_ms: 0,
            flaps: 0,
        }
    }
}

/// How often a node became unreachable within the last ten minutes, by the leader's own clock.
#[derive(Clone, Debug, Default)]
pub struct FlapHistory(VecDeque<u64>);

impl FlapHistory {
    const WINDOW_MS: u64 = 600_000;
    const MAX: usize = 32;

    pub fn note(&mut self, now_ms: u64) {
        self.0.push_back(now_ms);
        while self.0.len() > Self::MAX {
            self.0.pop_front();
        }
    }

    pub fn count(&mut self, now_ms: u64) -> u32 {
        while self
            .0
            .front()
            .is_some_and(|at| now_ms.saturating_sub(*at) > Self::WINDOW_MS)
        {
            self.0.pop_front();
        }
        self.0.len() as u32
    }
}

/// Flaps that are written as they come. After these each doubles the silence that is waited for before the next, so
/// that a link which comes and goes does not fill log and event trail; who comes back is active at once all the same.
const FREE_FLAPS: u32 = 2;
const MAX_PATIENCE_MS: u64 = 60_000;

/// The silence after which a node that flaps is called unreachable: 0 for the first, then 2, 4, 8 s and so on, up to a
/// minute or half the grace time.
fn patience_ms(flaps: u32, settings: &LifeCycleSettings) -> u64 {
    let Some(over) = flaps.checked_sub(FREE_FLAPS) else {
        return 0;
    };
    let doubled = 1_000u64 << over.min(10);
    match over {
        0 => 0,
        _ => doubled.min(MAX_PATIENCE_MS).min(settings.grace_ms / 2),
    }
}

/// The next life-cycle steps. Pure: the same state, observations and time give the same plan.
pub fn plan_life_cycle(
    state: &ClusterState,
    observed: &BTreeMap<NodeId, Observation>,
    now: Millis,
    settings: &LifeCycleSettings,
) -> Vec<Command> {
    let level = state.meta().feature_level;
    let step = |node: &NodeRecord| {
        let seen = observed.get(&node.id).copied().unwrap_or_default();
        let noted = state.note(node.id).is_some();
        let steps = [
            next_step(node, seen, now, settings),
            next_note(node, seen, noted, settings),
        ];
        steps.into_iter().flatten()
    };
    let steps = state.nodes().flat_map(step);
    let steps = steps.map(|step| match step {
        // What older managers understand of it.
        Command::NodeLeft { node_id, .. } if step.needs_level() > level => Command::LeaveNode {
            node_id,
            hold_seat: true,
        },
        step => step,
    });
    steps
        .filter(|step| step.needs_level() <= level)
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
    let alive = seen.session || seen.gossip.is_alive();
    let in_state_ms = now.saturating_sub(node.state_since_ms);
    let step = |to, reason: String| {
        Some(Command::SetNodeState {
            node_id: node.id,
            from: node.state,
            from_since_ms: node.state_since_ms,
            to,
            reason,
        })
    };
    match node.state {
        NodeState::Active | NodeState::Unreachable | NodeState::Down if seen.left && !alive => {
            Some(Command::NodeLeft {
                node_id: node.id,
                from: node.state,
                from_since_ms: node.state_since_ms,
            })
        }
        NodeState::Active if !alive && is_given_up(seen, settings) => {
            step(NodeState::Unreachable, silence(seen))
        }
        NodeState::Unreachable if alive => step(NodeState::Active, "it answers again".into()),
        NodeState::Unreachable
            if in_state_ms >= settings.grace_ms && is_silent_for_good(seen, settings) =>
        {
            step(NodeState::Down, "silent for the whole grace period".into())
        }
        NodeState::Down if in_state_ms >= settings.reap_ms => {
            step(NodeState::Removed, reaped(node, now))
        }
        _ => None,
    }
}

/// A new leader waits for those who still look for it, whatever gossip says: some have a session and no gossip.
fn is_given_up(seen: Observation, settings: &LifeCycleSettings) -> bool {
    let patience_ms = patience_ms(seen.flaps, settings);
    let enough_ms = match seen.gossip == GossipView::Down && seen.seen {
        true => patience_ms,
        false => patience_ms.max(settings.silent_ms),
    };
    seen.silent_ms >= enough_ms
}

/// A sign of life begins the grace time anew. What came before this leader stands in the state.
fn is_silent_for_good(seen: Observation, settings: &LifeCycleSettings) -> bool {
    let enough_ms = match seen.seen {
        true => settings.grace_ms,
        false => settings.grace_ms.min(settings.silent_ms),
    };
    seen.silent_ms >= enough_ms
}

/// Nobody hears of a removed node again, so what it may still do is said here.
fn reaped(node: &NodeRecord, now: Millis) -> String {
    const HOUR_MS: Millis = 3_600_000;
    let text = "down for the whole reap time";
    match node.lease_until_ms.saturating_sub(now).div_ceil(HOUR_MS) {
        0 => text.into(),
        hours => format!("{text}; if it runs, its lease lets it serve for up to {hours} h more"),
    }
}

fn silence(seen: Observation) -> String {
    let what = match seen.gossip {
        GossipView::Down => "gossip gave it up and its session is silent",
        _ => "neither gossip nor a session",
    };
    match seen.flaps {
        0 | 1 => what.into(),
        flaps => format!("{what}; it came and went {flaps} times within ten minutes"),
    }
}

/// Whether gossip reaches a node that has a session.
fn next_note(
    node: &NodeRecord,
    seen: Observation,
    noted: bool,
    settings: &LifeCycleSettings,
) -> Option<Command> {
    let blocked = match noted {
        false => node.state == NodeState::Active && seen.blocked_ms >= settings.blocked_ms,
        // A leader that has not seen it yet leaves the note as it is.
        true => {
            !(seen.gossip.is_alive() || matches!(node.state, NodeState::Down | NodeState::Removed))
        }
    };
    (blocked != noted).then_some(Command::ReportGossip {
        node_id: node.id,
        blocked,
    })
}

#[cfg(test)]
mod tests;
