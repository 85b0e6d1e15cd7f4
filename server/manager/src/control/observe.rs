use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use krakend_domain::{ClusterState, GossipView, NodeId, Observation};
use krakend_gossip::MemberState;

use crate::app::App;

/// Remembers when this leader last had a sign of life from each node.
pub struct Observer {
    since: Instant,
    seen: HashMap<NodeId, Instant>,
}

impl Observer {
    /// A new leader has seen nothing: silence counts from its election.
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            seen: HashMap::new(),
        }
    }

    /// What gossip and sessions say now.
    pub fn observe(&mut self, app: &App, state: &ClusterState) -> BTreeMap<NodeId, Observation> {
        let gossip: HashMap<_, _> = app
            .gossip
            .members()
            .into_iter()
            .map(|member| (NodeId(member.id), view(member.state)))
            .collect();
        let now = Instant::now();
        self.seen.retain(|id, _| state.node(*id).is_some());
        let mut observed = BTreeMap::new();
        for node in state.nodes() {
            let session = app.sessions.is_live(node.id);
            let gossip = gossip.get(&node.id).copied();
            let gossip = gossip.unwrap_or(GossipView::Unknown);
            if session || matches!(gossip, GossipView::Alive | GossipView::Suspect) {
                self.seen.insert(node.id, now);
            }
            let last = self.seen.get(&node.id).copied().unwrap_or(self.since);
            let silent_ms = now.saturating_duration_since(last).as_millis() as u64;
            observed.insert(
                node.id,
                Observation {
                    session,
                    gossip,
                    silent_ms,
                },
            );
        }
        observed
    }
}

fn view(state: MemberState) -> GossipView {
    match state {
        MemberState::Alive => GossipView::Alive,
        MemberState::Suspect => GossipView::Suspect,
        MemberState::Down => GossipView::Down,
        MemberState::Left => GossipView::Left,
    }
}
