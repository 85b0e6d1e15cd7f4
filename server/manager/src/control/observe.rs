use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use krakend_domain::{ClusterState, FlapHistory, GossipView, NodeId, NodeState, Observation};
use krakend_gossip::MemberState;

use crate::app::App;

/// A goodbye in gossip that is older than this leader counts after so much silence: the node may have come back since.
const OLD_GOODBYE_MS: u64 = 5_000;

/// Remembers what this leader has seen of each node.
pub struct Observer {
    since: Instant,
    seen: HashMap<NodeId, Seen>,
}

#[derive(Default)]
struct Seen {
    /// The last sign of life.
    alive: Option<Instant>,
    /// Since when it has a session that gossip knows nothing of.
    blocked: Option<Instant>,
    state: Option<NodeState>,
    flaps: FlapHistory,
    /// A goodbye stands in gossip that was there before its last sign of life.
    outlived_goodbye: bool,
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
            let seen = self.seen.entry(node.id).or_default();
            observed.insert(
                node.id,
                seen.observe(node.state, session, gossip, (now, self.since)),
            );
        }
        observed
    }
}

impl Seen {
    fn observe(
        &mut self,
        state: NodeState,
        session: bool,
        gossip: GossipView,
        (now, since): (Instant, Instant),
    ) -> Observation {
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_millis() as u64;
        if self.state.replace(state) == Some(NodeState::Active) && state == NodeState::Unreachable {
            self.flaps.note(ms(since, now));
        }
        if session || gossip.is_alive() {
            self.alive = Some(now);
        }
        self.outlived_goodbye = gossip == GossipView::Left && (session || self.outlived_goodbye);
        self.blocked = match session && !gossip.is_alive() {
            true => Some(self.blocked.unwrap_or(now)),
            false => None,
        };
        let silent_ms = ms(self.alive.unwrap_or(since), now);
        let news = self.alive.is_some() || silent_ms >= OLD_GOODBYE_MS;
        Observation {
            session,
            gossip,
            silent_ms,
            seen: self.alive.is_some(),
            left: gossip == GossipView::Left && !self.outlived_goodbye && news,
            blocked_ms: self.blocked.map_or(0, |from| ms(from, now)),
            flaps: self.flaps.count(ms(since, now)),
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Watch {
        seen: Seen,
        since: Instant,
        now: Instant,
    }

    impl Watch {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                seen: Seen::default(),
                since: now,
                now,
            }
        }

        fn after(&mut self, ms: u64, session: bool, gossip: GossipView) -> Observation {
            self.now += Duration::from_millis(ms);
            let times = (self.now, self.since);
            self.seen.observe(NodeState::Active, session, gossip, times)
        }
    }

    #[test]
    fn a_goodbye_counts_at_once_for_who_saw_it_alive() {
        let mut watch = Watch::new();
        assert!(watch.after(10, false, GossipView::Alive).seen);
        assert!(watch.after(10, false, GossipView::Left).left);
    }

    #[test]
    fn a_goodbye_from_before_this_leader_waits_for_the_session() {
        let mut watch = Watch::new();
        assert!(!watch.after(4_999, false, GossipView::Left).left);
        assert!(watch.after(1, false, GossipView::Left).left);
    }

    #[test]
    fn a_goodbye_that_the_node_outlived_never_counts_again() {
        let mut watch = Watch::new();
        assert!(!watch.after(10, true, GossipView::Left).left);
        let silent = watch.after(60_000, false, GossipView::Left);
        assert!(
            !silent.left,
            "its UDP is blocked, and now its session is gone"
        );
        assert_eq!(silent.silent_ms, 60_000);
        watch.after(10, false, GossipView::Alive);
        assert!(
            watch.after(10, false, GossipView::Left).left,
            "a new one does"
        );
    }

    #[test]
    fn blocked_gossip_is_timed_while_the_session_lasts() {
        let mut watch = Watch::new();
        assert_eq!(watch.after(0, true, GossipView::Down).blocked_ms, 0);
        assert_eq!(watch.after(700, true, GossipView::Unknown).blocked_ms, 700);
        assert_eq!(watch.after(1, false, GossipView::Down).blocked_ms, 0);
        assert_eq!(watch.after(1, true, GossipView::Alive).blocked_ms, 0);
    }
}
