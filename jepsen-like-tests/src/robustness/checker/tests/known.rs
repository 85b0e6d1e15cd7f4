//! Histories whose verdict is known by hand.

use std::time::Duration;

use super::*;

#[test]
fn nothing_is_linearizable() {
    assert!(holds(&[]));
}

#[test]
fn one_after_the_other_is_linearizable() {
    assert!(holds(&[
        read(0, 0, (0, 1)),
        publish(0, 10, 1, (2, 3)),
        read(1, 10, (4, 5)),
        publish(10, 11, 2, (6, 7)),
        conflict(10, (8, 9)),
        read(2, 11, (10, 11)),
    ]));
}

#[test]
fn a_read_during_a_write_may_see_either() {
    for seen in [read(0, 0, (2, 3)), read(1, 10, (2, 3))] {
        assert!(holds(&[publish(0, 10, 1, (0, 9)), seen]));
    }
}

#[test]
fn a_read_after_a_write_must_see_it() {
    assert!(!holds(&[publish(0, 10, 1, (0, 1)), read(0, 0, (2, 3))]));
}

#[test]
fn two_reads_during_a_write_must_not_see_new_then_old() {
    let write = publish(0, 10, 1, (0, 9));
    let (new, old) = (read(1, 10, (1, 2)), read(0, 0, (3, 4)));
    assert!(!holds(&[write.clone(), new, old]));
    assert!(holds(&[write, read(0, 0, (1, 2)), read(1, 10, (3, 4))]));
}

#[test]
fn two_writes_on_one_parent_cannot_both_succeed() {
    assert!(!holds(&[
        publish(0, 10, 1, (0, 9)),
        publish(0, 11, 1, (0, 9)),
    ]));
    assert!(holds(&[publish(0, 10, 1, (0, 9)), conflict(0, (0, 9))]));
}

#[test]
fn a_conflict_without_anybody_else_is_wrong() {
    assert!(!holds(&[conflict(0, (0, 1))]));
    assert!(!holds(&[publish(0, 10, 1, (0, 1)), conflict(10, (2, 3))]));
}

#[test]
fn a_version_number_must_not_be_skipped() {
    assert!(!holds(&[publish(0, 10, 2, (0, 1))]));
    assert!(!holds(&[publish(0, 10, 1, (0, 1)), read(2, 10, (2, 3))]));
}

#[test]
fn an_open_write_may_take_effect_late_or_never() {
    let write = open(0, 10, 0);
    assert!(holds(&[write.clone(), read(0, 0, (5, 6))]));
    assert!(holds(&[
        write.clone(),
        read(0, 0, (5, 6)),
        read(1, 10, (7, 8))
    ]));
    assert!(holds(&[write.clone(), publish(0, 11, 1, (5, 6))]));
    // Once it has happened it stays, and it cannot happen before it was asked for.
    assert!(!holds(&[write, read(1, 10, (5, 6)), read(0, 0, (7, 8))]));
    assert!(!holds(&[read(1, 10, (0, 1)), open(0, 10, 2)]));
}

#[test]
fn an_open_write_explains_a_conflict() {
    assert!(holds(&[open(0, 10, 0), conflict(0, (5, 6))]));
    assert!(!holds(&[
        open(0, 10, 0),
        conflict(0, (5, 6)),
        read(0, 0, (7, 8)),
    ]));
}

#[test]
fn a_lost_write_is_found() {
    assert!(!holds(&[
        publish(0, 10, 1, (0, 1)),
        publish(10, 11, 2, (2, 3)),
        read(1, 10, (4, 5)),
    ]));
}

#[test]
fn two_leaders_are_found() {
    // Each of two writers reads its own write only.
    assert!(!holds(&[
        publish(0, 10, 1, (0, 1)),
        publish(10, 11, 2, (2, 3)),
        publish(10, 12, 2, (2, 4)),
        read(2, 11, (5, 6)),
        read(2, 12, (5, 6)),
    ]));
}

#[test]
fn a_write_that_happened_twice_is_found() {
    // A, B, and A's document again.
    assert!(!holds(&[
        publish(0, 10, 1, (0, 1)),
        publish(10, 11, 2, (2, 3)),
        read(3, 10, (4, 5)),
    ]));
}

#[test]
fn the_offending_operation_is_named() {
    let history = [
        publish(0, 10, 1, (0, 1)),
        read(1, 10, (2, 3)),
        read(0, 0, (4, 5)),
        read(1, 10, (6, 7)),
    ];
    let Verdict::Violation { stuck, .. } = verdict(&history) else {
        panic!("not found");
    };
    assert_eq!(stuck, 2);
}

#[test]
fn a_long_history_with_many_open_writes_is_decided() {
    let mut history = Vec::new();
    let mut parent = 0;
    for number in 1..=5_000 {
        let at = number * 10;
        history.push(publish(parent, number, number, (at, at + 5)));
        parent = number;
        if number % 10 == 0 {
            // On a parent that is gone soon: it never happens.
            history.push(open(parent, 1_000_000 + number, at + 6));
        }
        history.push(read(number, number, (at + 6, at + 9)));
    }
    assert!(holds(&history));
    history.push(read(4_999, 4_999, (60_000, 60_001)));
    assert!(!holds(&history));
}

#[test]
fn a_budget_that_is_used_up_is_no_pass() {
    let history: Vec<_> = (0..100).map(|at| read(0, 0, (at, 1_000))).collect();
    let budget = Budget {
        steps: 10,
        time: Duration::from_secs(1),
    };
    let verdict = check(&Register, &history, budget);
    assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
}
