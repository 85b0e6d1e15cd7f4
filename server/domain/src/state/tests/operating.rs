use super::*;
use crate::{EventKind, FileDrift, Outcome, Seat};

fn drain(group: &mut Group, node_id: NodeId, draining: bool) -> Outcome {
    let by = "ops".into();
    told(
        group,
        Command::DrainNode {
            node_id,
            draining,
            by,
        },
    )
}

fn told(group: &mut Group, command: Command) -> Outcome {
    group.index += 1;
    group.state.apply(group.index, &entry(group.now, command))
}

fn with_node() -> (Group, NodeId) {
    let mut group = Group::begun();
    group.join(1).expect("a free seat");
    (group, id(1))
}

#[test]
fn a_drained_node_keeps_its_seat_and_is_drained_over_a_clean_stop_until_told_otherwise() {
    let (mut group, id) = with_node();
    let outcome = drain(&mut group, id, true);
    let drained_at = group.index;
    assert_eq!(outcome.result, Ok(Applied::Done));
    assert_eq!(outcome.events[0].kind, EventKind::NodeDrained);
    assert_eq!(group.state.node(id).expect("there").seat, Seat::Held);
    let again = drain(&mut group, id, true);
    assert_eq!(again.result, Ok(Applied::Unchanged));
    let stop = Command::LeaveNode {
        node_id: id,
        hold_seat: true,
    };
    group.done(stop);
    group.state = ClusterState::from_records(group.state.records()).expect("whole");
    let by = group.state.draining(id).map(|it| it.by.as_str());
    assert_eq!(by, Some("ops"));
    let order = |group: &Group| group.state.drain_order(id).map(|it| it.index);
    assert_eq!(order(&group), Some(drained_at));
    assert!(drain(&mut group, id, false).result.is_ok());
    assert!(group.state.draining(id).is_none());
    assert!(order(&group) > Some(drained_at), "newer than the drain");
}

#[test]
fn a_node_that_is_removed_for_good_is_told_to_take_traffic_should_it_return() {
    let (mut group, id) = with_node();
    drain(&mut group, id, true);
    group.done(Command::LeaveNode {
        node_id: id,
        hold_seat: false,
    });
    assert!(group.state.draining(id).is_none());
    let order = group.state.drain_order(id).map(|it| it.index);
    assert_eq!(order, Some(group.index));
}

#[test]
fn drift_is_told_once_and_its_end_once() {
    let (mut group, id) = with_node();
    let drift = FileDrift {
        found_ms: 0,
        file: "/x/gateway-1.json".into(),
        expected: Digest([1; 32]),
        found: Some(Digest([2; 32])),
        reason: "edited by hand".into(),
    };
    let mut kinds = Vec::new();
    for drift in [Some(&drift), Some(&drift), None, None] {
        let command = Command::ReportDrift {
            node_id: id,
            drift: drift.cloned(),
        };
        let outcome = told(&mut group, command);
        kinds.push(outcome.events.first().map(|event| event.kind));
    }
    let (found, gone) = (EventKind::DriftFound, EventKind::DriftGone);
    assert_eq!(kinds, [Some(found), None, Some(gone), None]);
    assert!(group.state.drift(id).is_none());
}

#[test]
fn nothing_is_done_with_a_node_that_nobody_knows() {
    let (mut group, _) = with_node();
    let outcome = drain(&mut group, id(99), true);
    assert_eq!(outcome.result, Err(Rejected::NoSuchNode(id(99))));
    assert!(outcome.events.is_empty());
}
