//! Who waits is woken by what it waits for, and no event is lost in silence.

use super::*;
use crate::Topic;

#[test]
fn a_topic_changes_when_its_records_do_and_not_otherwise() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let joined = group.index;
    group.publish(None, 1).expect("published");
    let published = group.index;
    group.done(record(1, 1, vec![sample(1, 10)]));
    let counted = group.index;
    let modified = |topic| group.state.modified(topic);
    assert_eq!(modified(Topic::Nodes), joined, "statistics wake nobody");
    assert_eq!(modified(Topic::Versions), published);
    assert_eq!(modified(Topic::Fleets), published);
    assert_eq!(modified(Topic::Statistics), counted);
    assert_eq!(modified(Topic::Events), published);
}

#[test]
fn what_is_rejected_or_repeated_wakes_nobody() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let before = group.state.changes.clone();
    let moved = Command::SetNodeState {
        node_id: id(1),
        from: NodeState::Down,
        from_since_ms: 0,
        to: NodeState::Removed,
        reason: "test".into(),
    };
    group.apply(moved).expect_err("it is not down");
    group.publish(Some(Digest([9; 32])), 1).expect_err("stale");
    assert_eq!(group.state.changes, before);
}

#[test]
fn a_samples_bookkeeping_reaches_the_disk_all_the_same() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    group.index += 1;
    let command = record(1, 1, vec![sample(1, 10)]);
    let outcome = group.state.apply(group.index, &entry(group.now, command));
    assert!(outcome.changed.contains(&crate::RecordKey::Node(id(1))));
}

#[test]
fn events_of_one_index_are_forgotten_together_and_that_is_remembered() {
    let mut group = Group::begun();
    assert!(!group.state.is_forgotten(0), "nothing is gone at first");
    // Each gives two events: the licence, and its state.
    for _ in 0..1_300 {
        group.done(license(5, START + 1_000_000));
        group.done(Command::RemoveLicense { by: "a".into() });
    }
    let oldest = group.state.oldest_event_index();
    assert!(oldest > 0);
    assert!(group.state.is_forgotten(oldest - 1));
    assert!(!group.state.is_forgotten(oldest));
    let first = group.state.events_after((oldest, u32::MAX)).next();
    let first = first.expect("an event");
    assert_eq!(first.position, 0, "whole from its beginning");
    let kept = group.state.events_after((oldest, 0)).next();
    assert_eq!(kept, Some(first), "nothing of a forgotten index is left");
    let loaded = ClusterState::from_records(bytes(&group.state)).expect("its own records");
    assert_eq!(loaded.oldest_event_index(), oldest);
}

#[test]
fn the_feature_level_grows_and_never_falls() {
    let mut group = Group::begun();
    let raise = |level| Command::RaiseFeatureLevel {
        level,
        by: "admin".into(),
    };
    assert_eq!(group.state.meta().feature_level, 1);
    assert_eq!(group.done(raise(3)), Applied::Done);
    assert_eq!(group.done(raise(2)), Applied::Unchanged);
    assert_eq!(group.state.meta().feature_level, 3);
    let keyed = Command::Idempotent {
        key: "k".into(),
        request: Digest([1; 32]),
        command: Box::new(Command::ResetClock { by: "a".into() }),
    };
    assert_eq!(keyed.needs_level(), 2, "what is wrapped counts");
    assert_eq!(raise(9).needs_level(), 1, "or nobody could raise it");
}

#[test]
fn a_stream_goes_on_within_an_index() {
    let mut group = Group::begun();
    group.done(license(5, START + 1_000_000));
    group.done(Command::RemoveLicense { by: "a".into() });
    let index = group.index;
    let of = |after| {
        let events = group.state.events_after(after);
        events.map(|e| (e.index, e.position)).collect::<Vec<_>>()
    };
    assert_eq!(of((index - 1, u32::MAX)), [(index, 0), (index, 1)]);
    assert_eq!(of((index, 0)), [(index, 1)]);
    assert_eq!(of((index, 1)), []);
    assert_eq!(
        of((index + 5, 0)),
        [],
        "a manager that lags repeats nothing"
    );
}
