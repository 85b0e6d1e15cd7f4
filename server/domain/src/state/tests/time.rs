//! A leader's clock that is wrong decides nothing.

use super::*;
use crate::{EventKind, GossipView, LifeCycleSettings, MAX_JUMP_MS, Observation, plan_life_cycle};

const YEAR: u64 = 365 * 86_400_000;

fn by() -> String {
    "admin".into()
}

fn moved(group: &mut Group, number: u128, from: NodeState, to: NodeState) {
    let from_since_ms = group.state.node(id(number)).expect("a node").state_since_ms;
    group.done(Command::SetNodeState {
        node_id: id(number),
        from,
        from_since_ms,
        to,
        reason: "test".into(),
    });
}

/// Licensed for long, one node up and one down.
fn fleet() -> Group {
    let mut group = Group::begun();
    group.done(license(10, START + 30 * 86_400_000));
    group.join(1).expect("a seat");
    group.join(2).expect("a seat");
    moved(&mut group, 2, NodeState::Active, NodeState::Unreachable);
    moved(&mut group, 2, NodeState::Unreachable, NodeState::Down);
    group.done(Command::LeaderElected {
        manager_id: Uuid::from_u128(9),
        term: 3,
    });
    group
}

fn plan(group: &Group) -> Vec<Command> {
    let silent = Observation {
        session: false,
        gossip: GossipView::Down,
        silent_ms: 100_000,
        seen: true,
        ..Observation::default()
    };
    let mut observed: std::collections::BTreeMap<_, _> =
        group.state.nodes().map(|node| (node.id, silent)).collect();
    // Node 1 lives as long as it is active.
    if group.state_of(1) == NodeState::Active {
        let alive = Observation {
            session: true,
            gossip: GossipView::Alive,
            ..Observation::default()
        };
        observed.insert(id(1), alive);
    }
    let now = group.state.time_at(group.now);
    plan_life_cycle(&group.state, &observed, now, &LifeCycleSettings::default())
}

#[test]
fn a_leader_a_year_ahead_expires_nothing_reaps_nothing_and_is_named() {
    let mut group = fleet();
    let before = group.state.license_status(group.now);
    group.now += YEAR;
    assert!(plan(&group).is_empty(), "not even before its first entry");
    group.done(Command::Tick);
    let hold = group.state.clock_hold().expect("held").clone();
    assert_eq!((hold.from_ms, hold.to_ms), (START, START + YEAR));
    assert_eq!(hold.by, Some(Uuid::from_u128(9)));
    let told = group.state.events().next().expect("an event");
    assert_eq!(told.kind, EventKind::ClockHeld);
    assert_eq!(told.subject_id, hold.by);
    assert_eq!(group.state.license_status(group.now), before);
    // Even three days at the held pace reap nobody.
    group.now += 3 * 86_400_000;
    group.done(Command::Tick);
    assert!(plan(&group).is_empty());
    let reap = group.apply(Command::SetNodeState {
        node_id: id(2),
        from: NodeState::Down,
        from_since_ms: START,
        to: NodeState::Removed,
        reason: "test".into(),
    });
    assert_eq!(reap, Err(Rejected::ClockHeld));
}

#[test]
fn while_it_is_held_the_rest_of_life_goes_on_at_its_pace() {
    let mut group = fleet();
    group.now += YEAR;
    group.done(Command::Tick);
    moved(&mut group, 1, NodeState::Active, NodeState::Unreachable);
    assert!(plan(&group).is_empty(), "grace has not passed");
    group.now += 60_000;
    group.done(Command::Tick);
    assert_eq!(group.state.meta().time_ms, START + 60_000);
    assert_eq!(plan(&group).len(), 1, "it has now");
}

#[test]
fn a_leader_a_year_behind_lets_no_time_pass() {
    let mut group = fleet();
    group.now -= YEAR;
    group.done(Command::Tick);
    assert_eq!(group.state.meta().time_ms, START);
    assert!(group.state.clock_hold().is_none());
    assert!(plan(&group).is_empty());
}

#[test]
fn a_confirmed_jump_becomes_the_time_and_what_happened_meanwhile_stays_recent() {
    let mut group = fleet();
    group.now += YEAR;
    group.done(Command::Tick);
    moved(&mut group, 1, NodeState::Active, NodeState::Unreachable);
    group.now += 1_000;
    let set = group.done(Command::ConfirmClock { by: by() });
    let to_ms = START + YEAR + 1_000;
    let from_ms = START + 1_000;
    assert_eq!(set, Applied::ClockSet { from_ms, to_ms });
    assert!(group.state.clock_hold().is_none());
    let node = group.state.node(id(1)).expect("a node");
    assert_eq!(node.state_since_ms, START + YEAR);
    let status = group.state.license_status(group.state.meta().time_ms);
    assert_eq!(status.state, LicenseState::Free, "the year counts now");
    let again = group.done(Command::ConfirmClock { by: by() });
    assert_eq!(again, Applied::Unchanged);
}

#[test]
fn a_reset_lowers_the_time_and_nothing_waits_in_the_future() {
    let mut group = fleet();
    group.now += YEAR;
    group.done(Command::ConfirmClock { by: by() });
    assert_eq!(group.state.meta().time_ms, START, "there was no jump yet");
    group.done(Command::Tick);
    group.done(Command::ConfirmClock { by: by() });
    group.done(Command::Idempotent {
        key: "k".into(),
        request: Digest([1; 32]),
        command: Box::new(Command::Tick),
    });
    moved(&mut group, 1, NodeState::Active, NodeState::Unreachable);
    group.now = START + 5_000;
    group.done(Command::Tick);
    assert_eq!(group.state.meta().time_ms, START + YEAR, "not by itself");
    group.done(Command::ResetClock { by: by() });
    assert_eq!(group.state.meta().time_ms, START + 5_000);
    let node = group.state.node(id(1)).expect("a node");
    assert_eq!(node.state_since_ms, START + 5_000);
    let told = group.state.events().next().map(|event| event.kind);
    assert_eq!(told, Some(EventKind::LicenseStateChanged));
    group.pass(IdempotencyRecord::KEEP_MS);
    assert!(group.state.idempotency.is_empty(), "the key lived its day");
    assert!(group.state.idempotency_age.is_empty());
}

#[test]
fn a_reset_under_an_idempotency_key_is_no_jump_either() {
    let mut group = fleet();
    group.now += MAX_JUMP_MS + 1;
    group.done(Command::Idempotent {
        key: "k".into(),
        request: Digest([1; 32]),
        command: Box::new(Command::ResetClock { by: by() }),
    });
    assert!(group.state.clock_hold().is_none());
    assert_eq!(group.state.meta().time_ms, group.now);
}

#[test]
fn a_hold_is_in_snapshots() {
    let mut group = fleet();
    group.now += YEAR;
    group.done(Command::Tick);
    let loaded = ClusterState::from_records(bytes(&group.state)).expect("its own records");
    assert_eq!(loaded.clock_hold(), group.state.clock_hold());
    assert!(loaded.clock_hold().is_some());
}
