//! Tables for one step, and [`lives`].

mod lives;
mod reaped;

use uuid::Uuid;

use super::*;
use crate::{
    Claims, Digest, EventKind, FleetName, GatewayKind, LicenseRecord, LogEntry, NodeRegistration,
    Rejected, Role, Seat, TokenRecord,
};

const START: u64 = 1_800_000_000_000;
const LIMIT: u32 = 10;

fn id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn settings() -> LifeCycleSettings {
    LifeCycleSettings::default()
}

/// A group with a licence for [`LIMIT`] nodes.
struct Group {
    state: ClusterState,
    index: u64,
    now: u64,
}

impl Group {
    fn begun() -> Self {
        let mut group = Self {
            state: ClusterState::default(),
            index: 0,
            now: START,
        };
        let first_token = TokenRecord {
            id: Uuid::nil(),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([0; 32]),
            created_by: "test".into(),
            expires_ms: None,
        };
        let group_id = Uuid::from_u128(1);
        group
            .apply(Command::Bootstrap {
                group_id,
                first_token,
            })
            .expect("begun");
        group
            .apply(Command::RaiseFeatureLevel {
                level: crate::FEATURE_LEVEL,
                by: "test".into(),
            })
            .expect("raised");
        group.license(LIMIT);
        group
    }

    fn license(&mut self, max_nodes: u32) {
        let record = LicenseRecord {
            claims: Claims {
                subscriber: "Acme".into(),
                level: "business".into(),
                max_nodes,
                features: vec![],
                not_before_ms: 0,
                expires_ms: START * 2,
                grace_days: None,
            },
            token: "t".into(),
            installed_by: "admin".into(),
            installed_ms: 0,
        };
        self.apply(Command::InstallLicense(record))
            .expect("installed");
    }

    fn apply(&mut self, command: Command) -> Result<crate::Applied, Rejected> {
        self.index += 1;
        let entry = LogEntry {
            time_ms: self.now,
            command,
        };
        self.state.apply(self.index, &entry).result
    }

    fn join(&mut self, number: u128) -> Result<crate::Applied, Rejected> {
        self.apply(Command::RegisterNode(NodeRegistration {
            node_id: id(number),
            store_id: Uuid::from_u128(1),
            fleet: FleetName::default_fleet(),
            name: format!("gw-{number}"),
            gateway_address: String::new(),
            gossip_address: String::new(),
            gateway: GatewayKind::Embedded,
            gateway_version: String::new(),
            version: String::new(),
            lease_until_ms: 0,
        }))
    }

    fn node(&self, number: u128) -> &NodeRecord {
        self.state.node(id(number)).expect("a node")
    }

    fn plan_for(&self, number: u128, seen: Observation) -> Vec<Command> {
        let observed = [(id(number), seen)].into();
        plan_life_cycle(&self.state, &observed, self.now, &settings())
    }
}

fn to(steps: &[Command]) -> Option<NodeState> {
    match steps {
        [] => None,
        [Command::SetNodeState { to, .. }] => Some(*to),
        [Command::NodeLeft { .. }] => Some(NodeState::Removed),
        other => panic!("one step at most: {other:?}"),
    }
}

const DEAD: Observation = Observation {
    session: false,
    gossip: GossipView::Down,
    silent_ms: 100_000,
    seen: true,
    left: false,
    blocked_ms: 0,
    flaps: 0,
};

const ALIVE: Observation = Observation {
    session: true,
    gossip: GossipView::Alive,
    silent_ms: 0,
    ..DEAD
};

#[test]
fn one_step_follows_from_state_and_signs() {
    use GossipView::{Alive, Down, Left, Suspect, Unknown};
    use NodeState::{Active, Removed, Unreachable};
    let fresh = Observation {
        seen: false,
        ..DEAD
    };
    let table: [(&str, Observation, Option<NodeState>); 14] = [
        ("both signs", ALIVE, None),
        (
            "gossip alone",
            Observation {
                session: false,
                ..ALIVE
            },
            None,
        ),
        (
            "suspected",
            Observation {
                session: false,
                gossip: Suspect,
                ..ALIVE
            },
            None,
        ),
        (
            "a session alone",
            Observation {
                gossip: Down,
                ..ALIVE
            },
            None,
        ),
        (
            "a session, never in gossip",
            Observation {
                gossip: Unknown,
                ..ALIVE
            },
            None,
        ),
        (
            "dead for both",
            Observation {
                silent_ms: 0,
                ..DEAD
            },
            Some(Unreachable),
        ),
        (
            "unknown to gossip and just silent",
            Observation {
                gossip: Unknown,
                silent_ms: 9_999,
                ..DEAD
            },
            None,
        ),
        (
            "unknown to gossip and long silent",
            Observation {
                gossip: Unknown,
                silent_ms: 10_000,
                ..DEAD
            },
            Some(Unreachable),
        ),
        (
            "a new leader waits for the session",
            Observation {
                silent_ms: 9_999,
                ..fresh
            },
            None,
        ),
        (
            "but not for ever",
            Observation {
                silent_ms: 10_000,
                ..fresh
            },
            Some(Unreachable),
        ),
        (
            "a goodbye",
            Observation {
                gossip: Left,
                left: true,
                ..DEAD
            },
            Some(Removed),
        ),
        (
            "a goodbye, and a newer session",
            Observation {
                gossip: Left,
                left: true,
                ..ALIVE
            },
            None,
        ),
        (
            "a goodbye of its earlier life",
            Observation {
                gossip: Left,
                left: false,
                silent_ms: 0,
                ..DEAD
            },
            None,
        ),
        (
            "a goodbye, and alive again",
            Observation {
                gossip: Alive,
                session: false,
                left: true,
                ..DEAD
            },
            None,
        ),
    ];
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    assert_eq!(group.node(1).state, Active);
    for (name, seen, expected) in table {
        assert_eq!(to(&group.plan_for(1, seen)), expected, "{name}");
    }
}

#[test]
fn grace_and_reap_run_from_the_last_sign_of_life() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    for step in group.plan_for(1, DEAD) {
        group.apply(step).expect("unreachable");
    }
    group.now += 60_000;
    let recent = Observation {
        silent_ms: 59_999,
        ..DEAD
    };
    assert_eq!(to(&group.plan_for(1, recent)), None, "it spoke meanwhile");
    assert_eq!(to(&group.plan_for(1, DEAD)), Some(NodeState::Down));
    let new_leader = Observation {
        seen: false,
        silent_ms: 9_999,
        ..DEAD
    };
    assert_eq!(
        to(&group.plan_for(1, new_leader)),
        None,
        "it may be on its way"
    );
    let settled = Observation {
        silent_ms: 10_000,
        ..new_leader
    };
    assert_eq!(to(&group.plan_for(1, settled)), Some(NodeState::Down));
    for step in group.plan_for(1, DEAD) {
        group.apply(step).expect("down");
    }
    assert_eq!(group.node(1).seat, Seat::Free);
    // A gossip packet gives no seat back: it registers for that.
    assert_eq!(
        to(&group.plan_for(
            1,
            Observation {
                session: false,
                ..ALIVE
            }
        )),
        None
    );
    group.now += 259_200_000 - 1;
    assert_eq!(to(&group.plan_for(1, DEAD)), None);
    group.now += 1;
    assert_eq!(to(&group.plan_for(1, DEAD)), Some(NodeState::Removed));
}

#[test]
fn a_goodbye_that_comes_late_does_not_send_away_who_came_back() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let left = Observation {
        gossip: GossipView::Left,
        left: true,
        ..DEAD
    };
    let planned = group.plan_for(1, left);
    group.now += 10;
    for step in group.plan_for(1, DEAD) {
        group.apply(step).expect("unreachable");
    }
    group.now += 10;
    group.join(1).expect("back");
    for step in planned {
        let answer = group.apply(step);
        assert!(matches!(answer, Err(Rejected::NodeMovedOn { .. })));
    }
    assert_eq!(group.node(1).state, NodeState::Active);
}

#[test]
fn a_leave_in_gossip_is_understood_by_older_managers_until_the_level_is_raised() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    group.state.meta.feature_level = 3;
    let left = Observation {
        gossip: GossipView::Left,
        left: true,
        ..DEAD
    };
    let steps = group.plan_for(1, left);
    assert!(matches!(
        steps[..],
        [Command::LeaveNode {
            hold_seat: true,
            ..
        }]
    ));
    let blocked = Observation {
        gossip: GossipView::Down,
        blocked_ms: 30_000,
        ..ALIVE
    };
    assert!(group.plan_for(1, blocked).is_empty());
}

#[test]
fn a_session_without_gossip_is_told_once_and_taken_back() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let blocked = |blocked_ms| Observation {
        gossip: GossipView::Down,
        blocked_ms,
        ..ALIVE
    };
    assert!(group.plan_for(1, blocked(29_999)).is_empty());
    let steps = group.plan_for(1, blocked(30_000));
    assert!(matches!(
        steps[..],
        [Command::ReportGossip { blocked: true, .. }]
    ));
    for step in steps {
        group.apply(step).expect("noted");
    }
    assert_eq!(
        group.node(1).state,
        NodeState::Active,
        "it is no step of its life"
    );
    assert!(group.plan_for(1, blocked(60_000)).is_empty(), "told once");
    assert!(
        group.plan_for(1, blocked(0)).is_empty(),
        "nor taken back by a new leader"
    );
    for step in group.plan_for(1, ALIVE) {
        group.apply(step).expect("taken back");
    }
    assert!(group.state.note(id(1)).is_none());
    let told = group.state.events().map(|event| event.kind);
    let told: Vec<_> = told.take(2).collect();
    assert_eq!(told, [EventKind::GossipOpen, EventKind::GossipBlocked]);
}

#[test]
fn patience_grows_with_flaps_up_to_half_the_grace() {
    let patience: Vec<_> = (0..12)
        .map(|flaps| patience_ms(flaps, &settings()))
        .collect();
    let expected = [0, 0, 0, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    assert_eq!(patience[..9], expected);
    assert_eq!(patience_ms(u32::MAX, &settings()), 30_000);
    let mut history = FlapHistory::default();
    for at in 0..100 {
        history.note(at);
    }
    assert_eq!(history.count(100), 32);
    assert_eq!(history.count(700_000), 0);
}

/// How many state changes a link makes that comes and goes for an hour of the group's time.
fn writes_of_flapping(on_ms: u64, off_ms: u64) -> (usize, Group) {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let mut flaps = FlapHistory::default();
    let (mut writes, mut silent_ms) = (0, 0);
    let began = group.now;
    while group.now - began < 3_600_000 {
        group.now += 250;
        let at = (group.now - began) % (on_ms + off_ms);
        let alive = at < on_ms;
        silent_ms = if alive { 0 } else { silent_ms + 250 };
        let seen = Observation {
            session: alive,
            gossip: if alive {
                GossipView::Alive
            } else {
                GossipView::Down
            },
            silent_ms,
            flaps: flaps.count(group.now),
            ..DEAD
        };
        for step in group.plan_for(1, seen) {
            if to(std::slice::from_ref(&step)) == Some(NodeState::Unreachable) {
                flaps.note(group.now);
            }
            group.apply(step).expect("a legal step");
            writes += 1;
        }
    }
    (writes, group)
}

#[test]
fn a_flapping_link_does_not_write_at_each_flap() {
    // 360 flaps of 5 s: four cycles go into the trail for ten minutes, then it counts as active all the time.
    let (writes, group) = writes_of_flapping(5_000, 5_000);
    assert!((2..=70).contains(&writes), "{writes} writes");
    assert_eq!(group.node(1).state, NodeState::Active);
    // A link that is away for longer than the patience is told, at the pace of the patience.
    let (writes, _) = writes_of_flapping(1_000, 40_000);
    assert!((100..=180).contains(&writes), "{writes} writes");
    let (writes, _) = writes_of_flapping(60_000, 0);
    assert_eq!(writes, 0);
}
