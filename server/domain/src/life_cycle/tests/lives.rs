//! Random lives: nodes that die, come back, flap and say goodbye under leaders that change.

use super::*;

/// What a node does in a random life.
#[derive(Clone, Copy, PartialEq)]
enum Truth {
    Runs,
    Silent,
    GoodbyeInGossip,
}

struct Chance(u64);

impl Chance {
    /// SplitMix64.
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

struct World {
    group: Group,
    truth: Vec<Truth>,
    silent_since: Vec<u64>,
    seen: Vec<bool>,
    flaps: Vec<FlapHistory>,
    elected: u64,
    limit: u32,
}

impl World {
    fn new(nodes: usize) -> Self {
        Self {
            group: Group::begun(),
            truth: vec![Truth::Silent; nodes],
            silent_since: vec![START; nodes],
            seen: vec![false; nodes],
            flaps: vec![FlapHistory::default(); nodes],
            elected: START,
            limit: LIMIT,
        }
    }

    fn number(at: usize) -> u128 {
        at as u128 + 1
    }

    /// Each 250 ms: sessions register, the leader looks and writes, all steps must be legal.
    fn step(&mut self) {
        self.group.now += 250;
        let now = self.group.now;
        let mut observed = BTreeMap::new();
        for at in 0..self.truth.len() {
            let runs = self.truth[at] == Truth::Runs;
            let node = self.group.state.node(id(Self::number(at)));
            let seated = node
                .is_some_and(|it| matches!(it.state, NodeState::Active | NodeState::Unreachable));
            if runs && !seated {
                let _ = self.group.join(Self::number(at));
            }
            if runs {
                self.silent_since[at] = now;
                self.seen[at] = true;
            }
            let gossip = match self.truth[at] {
                Truth::Runs => GossipView::Alive,
                Truth::Silent => GossipView::Down,
                Truth::GoodbyeInGossip => GossipView::Left,
            };
            let seen = Observation {
                session: runs,
                gossip,
                silent_ms: now - self.silent_since[at].max(self.elected),
                seen: self.seen[at],
                left: gossip == GossipView::Left,
                blocked_ms: 0,
                flaps: self.flaps[at].count(now),
            };
            observed.insert(id(Self::number(at)), seen);
        }
        for step in plan_life_cycle(&self.group.state, &observed, now, &settings()) {
            if let Command::SetNodeState {
                node_id, from, to, ..
            } = &step
            {
                assert!(is_legal(*from, *to), "{from:?} to {to:?}");
                if *to == NodeState::Unreachable {
                    self.flaps[node_id.0.as_u128() as usize - 1].note(now);
                }
            }
            self.group.apply(step).expect("planned on this very state");
        }
        let over = self.group.state.seats_used(now);
        assert!(over <= self.limit, "{over} seats of {}", self.limit);
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 250 {
            self.step();
        }
    }

    /// Everybody is what they are said to be.
    fn check_truth(&self, seed: u64) {
        let running = self.truth.iter().filter(|it| **it == Truth::Runs).count();
        let active = self
            .group
            .state
            .nodes()
            .filter(|it| it.state == NodeState::Active);
        let active = active.count();
        assert_eq!(active, running.min(self.limit as usize), "seed {seed}");
        for (at, truth) in self.truth.iter().enumerate() {
            let node = self.group.state.node(id(Self::number(at)));
            let state = node.map(|it| it.state);
            match truth {
                Truth::Runs => assert!(
                    !matches!(state, Some(NodeState::Unreachable)),
                    "seed {seed}"
                ),
                Truth::Silent => assert!(
                    !matches!(state, Some(NodeState::Active | NodeState::Unreachable)),
                    "seed {seed}: node {at} is silent and {state:?}"
                ),
                Truth::GoodbyeInGossip => assert!(
                    matches!(state, None | Some(NodeState::Removed)),
                    "seed {seed}: node {at} left and is {state:?}"
                ),
            }
        }
    }
}

fn is_legal(from: NodeState, to: NodeState) -> bool {
    use NodeState::{Active, Down, Removed, Unreachable};
    matches!(
        (from, to),
        (Active, Unreachable) | (Unreachable, Active | Down) | (Down, Removed)
    )
}

#[test]
fn whatever_happens_states_converge_to_the_truth_and_seats_stay_within_the_limit() {
    for seed in 0..60 {
        let mut chance = Chance(seed);
        let mut world = World::new(14);
        for _ in 0..30 {
            match chance.next(8) {
                // Half of the nodes are cut off, or all come back.
                0 => world
                    .truth
                    .iter_mut()
                    .step_by(2)
                    .for_each(|it| *it = Truth::Silent),
                1 => world.truth.iter_mut().for_each(|it| *it = Truth::Runs),
                // A new leader knows nothing.
                2 => {
                    world.elected = world.group.now;
                    world.seen.fill(false);
                    world.flaps.fill(FlapHistory::default());
                }
                _ => {
                    let at = chance.next(14) as usize;
                    world.truth[at] = match chance.next(4) {
                        0 => Truth::Silent,
                        1 => Truth::GoodbyeInGossip,
                        _ => Truth::Runs,
                    };
                }
            }
            world.run(chance.next(40_000));
        }
        // The longest way there: patience, grace, and five minutes of a held seat.
        world.run(500_000);
        world.check_truth(seed);
        for events in world
            .group
            .state
            .nodes()
            .map(|node| story(&world.group, node))
        {
            assert!(reads_sensibly(&events), "seed {seed}: {events:?}");
        }
    }
}

/// A node's events, oldest first.
fn story(group: &Group, node: &NodeRecord) -> Vec<EventKind> {
    let events = group.state.events();
    let mut of_node: Vec<_> = events
        .filter(|event| event.subject_id == Some(node.id.0))
        .map(|event| event.kind)
        .collect();
    of_node.reverse();
    of_node
}

/// It joins first; nothing is told twice in a row; nobody is down who was not unreachable.
fn reads_sensibly(events: &[EventKind]) -> bool {
    use EventKind::{NodeActive, NodeDown, NodeJoined, NodeRemoved, NodeUnreachable};
    let follows = |pair: &[EventKind]| {
        matches!(
            (pair[0], pair[1]),
            (NodeJoined | NodeActive, NodeUnreachable | NodeRemoved)
                | (NodeUnreachable, NodeActive | NodeDown | NodeRemoved)
                | (NodeDown, NodeActive | NodeRemoved)
                | (NodeRemoved, NodeActive)
        )
    };
    events.first() == Some(&NodeJoined) && events.windows(2).all(follows)
}

#[test]
fn a_hundred_nodes_that_restart_at_once_keep_their_ids_and_seats() {
    let mut world = World::new(100);
    world.group.license(100);
    world.limit = 100;
    world.truth.fill(Truth::Runs);
    world.run(1_000);
    world.truth.fill(Truth::Silent);
    world.run(20_000);
    world.truth.fill(Truth::Runs);
    world.run(1_000);
    world.check_truth(0);
    let held = world.group.state.nodes().filter(|it| it.seat == Seat::Held);
    assert_eq!(held.count(), 100);
}

#[test]
fn half_of_the_nodes_cut_off_and_healed_are_who_they_were() {
    let mut world = World::new(10);
    world.truth.fill(Truth::Runs);
    world.run(1_000);
    world.truth[..5].fill(Truth::Silent);
    world.run(120_000);
    let down = world
        .group
        .state
        .nodes()
        .filter(|it| it.state == NodeState::Down);
    assert_eq!(down.count(), 5);
    world.truth.fill(Truth::Runs);
    world.run(2_000);
    world.check_truth(0);
    assert_eq!(world.group.state.nodes().count(), 10);
}
