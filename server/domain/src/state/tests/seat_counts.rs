//! The kept count of seats is what a look at every node gives.

use super::*;
use crate::Seat;

const NODES: u128 = 8;
const DAY: u64 = 86_400_000;

/// What happens next, and how long after the last.
#[derive(Clone, Debug)]
enum Step {
    Join(u128),
    Leave(u128, bool),
    Goes(u128, NodeState),
    Tick,
    /// Long enough for records of removed nodes to go.
    Months,
    /// The clock jumps ahead, and an operator believes it: stamps move.
    Jump(bool),
    /// A manager starts from records.
    Reload,
}

fn any_step() -> impl Strategy<Value = Step> {
    let node = || 1..=NODES;
    let state = prop_oneof![
        Just(NodeState::Active),
        Just(NodeState::Unreachable),
        Just(NodeState::Down),
        Just(NodeState::Removed),
    ];
    prop_oneof![
        4 => node().prop_map(Step::Join),
        3 => (node(), any::<bool>()).prop_map(|(node, hold)| Step::Leave(node, hold)),
        4 => (node(), state).prop_map(|(node, to)| Step::Goes(node, to)),
        1 => Just(Step::Tick),
        1 => Just(Step::Months),
        1 => any::<bool>().prop_map(Step::Jump),
        1 => Just(Step::Reload),
    ]
}

fn take(group: &mut Group, step: Step) {
    match step {
        Step::Join(node) => drop(group.join(node)),
        Step::Leave(node, hold_seat) => drop(group.apply(Command::LeaveNode {
            node_id: id(node),
            hold_seat,
        })),
        Step::Goes(node, to) => {
            let Some(record) = group.state.node(id(node)).cloned() else {
                return;
            };
            drop(group.apply(Command::SetNodeState {
                node_id: id(node),
                from: record.state,
                from_since_ms: record.state_since_ms,
                to,
                reason: "test".into(),
            }));
        }
        Step::Tick => drop(group.apply(Command::Tick)),
        Step::Months => group.pass(40 * DAY),
        Step::Jump(believed) => {
            group.now += 400 * DAY;
            drop(group.apply(Command::Tick));
            drop(group.apply(match believed {
                true => Command::ConfirmClock { by: "test".into() },
                false => Command::Tick,
            }));
            if !believed {
                group.now -= 400 * DAY;
                drop(group.apply(Command::ResetClock { by: "test".into() }));
            }
        }
        Step::Reload => {
            let loaded = ClusterState::from_records(bytes(&group.state));
            group.state = loaded.expect("its own records");
        }
    }
}

fn counted(state: &ClusterState, now: u64) -> u32 {
    let now = state.decision_time(now);
    state.nodes().filter(|node| node.seat.is_taken(now)).count() as u32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_kept_count_of_seats_is_that_of_a_look_at_every_node(
        steps in proptest::collection::vec((0..200_000u64, any_step()), 1..60),
    ) {
        let mut group = Group::begun();
        group.done(license(6, START + 4_000 * DAY));
        for (pause_ms, step) in steps {
            group.now += pause_ms;
            take(&mut group, step);
            // Kept seats get free without a command.
            let kept = group.state.nodes().filter_map(|node| match node.seat {
                Seat::HeldUntil(until) => Some(until),
                _ => None,
            });
            let moments: Vec<u64> = kept.flat_map(|until| [until - 1, until]).collect();
            for now in [group.now, group.now + 300_000].into_iter().chain(moments) {
                prop_assert_eq!(group.state.seats_used(now), counted(&group.state, now), "at {}", now);
            }
        }
    }
}
