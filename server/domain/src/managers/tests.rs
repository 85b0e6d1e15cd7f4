use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const HOUR: u64 = 3_600_000;

fn voter(n: u128) -> ManagerObservation {
    ManagerObservation {
        id: Uuid::from_u128(n),
        voter: true,
        raft_address: format!("m{n}:7001"),
        moved: false,
        reachable: true,
        stable_ms: HOUR,
        silent_ms: 0,
    }
}

fn learner(n: u128, stable_ms: u64) -> ManagerObservation {
    ManagerObservation {
        voter: false,
        stable_ms,
        ..voter(n)
    }
}

fn silent(n: u128, silent_ms: u64) -> ManagerObservation {
    ManagerObservation {
        reachable: false,
        stable_ms: 0,
        silent_ms,
        ..voter(n)
    }
}

fn plan(managers: Vec<ManagerObservation>) -> Option<ManagerStep> {
    let observed = GroupObservation {
        joint: false,
        managers,
    };
    plan_managers(&observed, &ManagerSettings::default())
}

#[test]
fn a_healthy_group_is_left_alone() {
    assert_eq!(plan(vec![voter(1), voter(2), voter(3)]), None);
}

#[test]
fn a_half_done_change_is_finished_before_anything_else() {
    let observed = GroupObservation {
        joint: true,
        managers: vec![voter(1), learner(2, HOUR)],
    };
    let step = plan_managers(&observed, &ManagerSettings::default());
    assert_eq!(step, Some(ManagerStep::FinishJoint));
}

#[test]
fn a_learner_is_promoted_once_it_was_stable_for_ten_seconds() {
    assert_eq!(plan(vec![voter(1), learner(2, 9_999)]), None);
    let step = plan(vec![voter(1), learner(2, 10_000)]);
    assert_eq!(step, Some(ManagerStep::Promote(Uuid::from_u128(2))));
}

#[test]
fn a_dead_voter_goes_only_while_three_remain() {
    let dead = silent(4, 25 * HOUR);
    assert_eq!(plan(vec![voter(1), voter(2), dead.clone()]), None);
    let step = plan(vec![voter(1), voter(2), voter(3), dead]);
    assert!(matches!(step, Some(ManagerStep::Remove { id, .. }) if id == Uuid::from_u128(4)));
    let young = silent(4, 23 * HOUR);
    assert_eq!(plan(vec![voter(1), voter(2), voter(3), young]), None);
}

#[test]
fn nothing_is_removed_where_the_rest_would_have_no_majority() {
    let managers = vec![
        voter(1),
        voter(2),
        silent(3, 30 * HOUR),
        silent(4, 30 * HOUR),
    ];
    let step = plan(managers);
    assert!(
        matches!(step, Some(ManagerStep::Remove { .. })),
        "two of the three that remain answer: {step:?}"
    );
    let managers = vec![
        voter(1),
        silent(2, 30 * HOUR),
        silent(3, 30 * HOUR),
        silent(4, 30 * HOUR),
    ];
    assert_eq!(plan(managers), None);
}

#[test]
fn a_manager_whose_address_another_voter_has_taken_goes_at_once() {
    let mut gone = silent(1, 1_000);
    gone.raft_address = "m9:7001".into();
    let newer = learner(9, HOUR);
    let step = plan(vec![gone.clone(), voter(2), voter(3), newer]);
    assert_eq!(
        step,
        Some(ManagerStep::Promote(Uuid::from_u128(9))),
        "the newcomer has a vote first"
    );
    let step = plan(vec![gone.clone(), voter(2), voter(3), voter(9)]);
    let Some(ManagerStep::Remove { id, reason }) = step else {
        panic!("it is removed: {step:?}");
    };
    assert_eq!(id, gone.id);
    assert!(reason.contains("m9:7001"), "{reason}");
}

#[test]
fn new_addresses_are_written_into_the_membership() {
    let mut moved = voter(2);
    moved.moved = true;
    let step = plan(vec![voter(1), moved, voter(3)]);
    assert_eq!(step, Some(ManagerStep::Move(Uuid::from_u128(2))));
}

proptest! {
    #[test]
    fn a_removal_always_leaves_a_majority_that_answers(
        members in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u64..100), 1..8)
    ) {
        let managers: Vec<_> = members
            .iter()
            .enumerate()
            .map(|(n, (voter_, reachable, hours))| ManagerObservation {
                voter: *voter_,
                reachable: *reachable,
                stable_ms: 0,
                silent_ms: if *reachable { 0 } else { hours * HOUR },
                ..voter(n as u128)
            })
            .collect();
        if let Some(ManagerStep::Remove { id, .. }) = plan(managers.clone()) {
            let rest: Vec<_> = managers.iter().filter(|it| it.voter && it.id != id).collect();
            let was_voter = managers.iter().any(|it| it.voter && it.id == id);
            let answers = rest.iter().filter(|it| it.reachable).count();
            prop_assert!(!was_voter || (rest.len() >= 3 && answers > rest.len() / 2));
        }
    }
}
