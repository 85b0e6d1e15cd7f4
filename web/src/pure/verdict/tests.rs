use super::*;
use crate::pure::rollout::tests::node;

/// Three managers with a leader, all reachable.
pub(crate) fn status() -> GroupStatus {
    GroupStatus {
        group_id: "g".to_owned(),
        answered_by: "m2".to_owned(),
        answered_by_name: "cm-2".to_owned(),
        leader_id: Some("m2".to_owned()),
        leader_name: Some("cm-2".to_owned()),
        term: 47,
        applied_index: 100,
        committed_index: 100,
        voters: 3,
        reachable_voters: 3,
        can_lose: 1,
        epoch: 1,
        generation: 1,
        nodes_active: 3,
        nodes_unreachable: 0,
        nodes_down: 0,
        nodes_total: 3,
        alarms: Vec::new(),
        last_backup: None,
        now: "2026-11-17T13:32:08Z".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

fn judge(status: &GroupStatus, nodes: &[Node]) -> Verdict {
    Verdict::of(&Facts {
        status,
        nodes,
        requests_per_s: Some(4_812.0),
        newest: Some((
            1,
            RolloutProgress {
                applied: 3,
                total: 3,
                ..Default::default()
            },
        )),
        now_ms: clock::parse("2026-11-17T13:03:12Z").expect("valid"),
        zone: Zone { offset_min: 60 },
    })
}

#[test]
fn a_healthy_fleet_is_said_in_one_sentence() {
    let verdict = judge(&status(), &[node("a"), node("b"), node("c")]);
    assert_eq!(verdict.title, "Serving traffic. All three nodes answer.");
    assert_eq!(verdict.tone, Tone::Good);
    assert_eq!(verdict.lines[0], "All of them run v1.");
}

#[test]
fn a_silent_node_is_named_with_what_happens_next() {
    let mut silent = node("gw-par-3");
    silent.state = NodeState::Unreachable;
    silent.down_at = Some("2026-11-17T13:38:00Z".to_owned());
    let verdict = judge(&status(), &[node("a"), silent, node("b")]);
    assert_eq!(verdict.title, "Serving traffic. One node does not answer.");
    assert_eq!(
        verdict.lines[0],
        "gw-par-3 has been silent for 3 min 12 s. Its seat is kept. Unless it answers, it counts as down at 14:38:00."
    );
    assert_eq!(verdict.lines[1], "The other 2 nodes carry the traffic.");
}

#[test]
fn nodes_that_are_down_are_counted() {
    let mut nodes = [node("a"), node("b"), node("c")];
    nodes[0].state = NodeState::Down;
    nodes[1].state = NodeState::Down;
    let verdict = judge(&status(), &nodes);
    assert_eq!(verdict.title, "Serving traffic. Two nodes are down.");
    assert_eq!(verdict.mark, Mark::Down);
}

#[test]
fn a_lost_leader_comes_before_everything_else() {
    let mut lost = status();
    lost.leader_id = None;
    lost.reachable_voters = 1;
    let verdict = judge(&lost, &[node("a")]);
    assert_eq!(
        verdict.title,
        "No leader. 2 of 3 managers must reach each other."
    );
    assert_eq!(verdict.tone, Tone::Bad);
}

#[test]
fn a_missing_manager_says_what_else_may_be_lost() {
    let mut two = status();
    two.reachable_voters = 2;
    two.can_lose = 0;
    let verdict = judge(&two, &[node("a"), node("b")]);
    assert_eq!(
        verdict.title,
        "Serving traffic. One manager does not answer."
    );
    assert!(verdict.lines[0].starts_with("No further manager may be lost"));
}

#[test]
fn a_refusal_repeats_the_gateways_own_words() {
    let mut refusing = node("gw-fra-1");
    refusing.desired_version = Some(40);
    refusing.refusal = Some("unknown namespace".to_owned());
    let verdict = judge(&status(), &[refusing, node("b")]);
    assert_eq!(verdict.title, "Serving traffic. One node refused v40.");
    assert_eq!(verdict.lines[0], "gw-fra-1: unknown namespace");
}

#[test]
fn nothing_is_called_serving_without_traffic() {
    let nodes = [node("a"), node("b")];
    let verdict = Verdict::of(&Facts {
        status: &status(),
        nodes: &nodes,
        requests_per_s: None,
        newest: None,
        now_ms: 0,
        zone: Zone::default(),
    });
    assert_eq!(verdict.title, "No traffic right now. All two nodes answer.");
    assert_eq!(
        judge(&status(), &[]).title,
        "No nodes yet. Nothing serves traffic."
    );
}
