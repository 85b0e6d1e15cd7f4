use super::*;
use crate::{Event, EventKind};

const MINUTE: u64 = 60_000;

fn begun(level: u32) -> Group {
    let mut group = Group::begun();
    group.done(Command::RaiseFeatureLevel {
        level,
        by: "maria".into(),
    });
    group.done(Command::RegisterNode(registration(1, 1)));
    group.done(Command::RenewLease {
        node_id: id(1),
        until_ms: START + 10 * MINUTE,
    });
    group
}

fn goes(group: &mut Group, to: NodeState) {
    let node = group.state.node(id(1)).expect("it registered").clone();
    group.done(Command::SetNodeState {
        node_id: id(1),
        from: node.state,
        from_since_ms: node.state_since_ms,
        to,
        reason: "silent".into(),
    });
}

fn ticks(group: &mut Group, minutes: u64) {
    for _ in 0..minutes {
        group.now += MINUTE;
        group.done(Command::Tick);
    }
}

fn ends(group: &Group) -> Vec<Event> {
    let told = group.state.events();
    told.filter(|event| event.kind == EventKind::NodeLeaseEnded)
        .cloned()
        .collect()
}

#[test]
fn the_end_of_a_lease_that_nobody_renews_is_told_once_and_so_is_the_return() {
    let mut group = begun(crate::FEATURE_LEVEL);
    goes(&mut group, NodeState::Unreachable);
    goes(&mut group, NodeState::Down);
    ticks(&mut group, 9);
    assert!(ends(&group).is_empty(), "the lease still goes on");
    ticks(&mut group, 30);
    let told = ends(&group);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].time_ms, START + 10 * MINUTE);
    assert_eq!(told[0].subject_id, Some(id(1).0));
    group.done(Command::RegisterNode(NodeRegistration {
        lease_until_ms: group.now + 10 * MINUTE,
        ..registration(1, 1)
    }));
    let back = group.state.events().next().expect("an event").clone();
    assert_eq!(back.kind, EventKind::NodeActive);
    assert!(back.message.contains("free version"), "{}", back.message);
    // The next lease is another one.
    goes(&mut group, NodeState::Unreachable);
    ticks(&mut group, 30);
    assert_eq!(ends(&group).len(), 2);
}

#[test]
fn a_node_that_is_here_or_was_stopped_before_has_no_ended_lease() {
    let mut group = begun(crate::FEATURE_LEVEL);
    ticks(&mut group, 30);
    assert!(ends(&group).is_empty(), "it is active");
    let mut group = begun(crate::FEATURE_LEVEL);
    group.done(Command::LeaveNode {
        node_id: id(1),
        hold_seat: true,
    });
    ticks(&mut group, 30);
    assert!(ends(&group).is_empty(), "it was stopped");
}

#[test]
fn below_level_six_nothing_is_told_because_older_managers_would_not() {
    let mut group = begun(5);
    goes(&mut group, NodeState::Unreachable);
    ticks(&mut group, 30);
    assert!(ends(&group).is_empty());
    group.done(Command::RegisterNode(registration(1, 1)));
    let back = group.state.events().next().expect("an event");
    assert!(!back.message.contains("free"), "{}", back.message);
}
