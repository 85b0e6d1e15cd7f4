use super::*;

#[test]
fn of_a_reaped_node_whose_lease_goes_on_it_is_said_for_how_long() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let reaped_ms = START + 259_200_000;
    let renewed = group.apply(Command::RenewLease {
        node_id: id(1),
        until_ms: reaped_ms + 90 * 60_000,
    });
    renewed.expect("renewed");
    for (from, to) in [
        (NodeState::Active, NodeState::Unreachable),
        (NodeState::Unreachable, NodeState::Down),
    ] {
        let step = group.apply(Command::SetNodeState {
            node_id: id(1),
            from,
            from_since_ms: START,
            to,
            reason: "test".into(),
        });
        step.expect("a step");
    }
    let reason = |now| {
        let group = Group {
            now,
            state: group.state.clone(),
            index: 0,
        };
        match group.plan_for(1, DEAD).remove(0) {
            Command::SetNodeState { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    };
    let said = reason(reaped_ms);
    assert!(said.ends_with("serve for up to 2 h more"), "{said}");
    assert_eq!(
        reason(reaped_ms + 90 * 60_000),
        "down for the whole reap time"
    );
}
