//! Leases: what nodes say of themselves against what managers had committed for them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::Finding;

const CHECK: &str = "leases";
/// Managers show times cut to the second, and the machine is busy. A node's own reckoning ends earlier than the group's, never later.
const LATE_MS: u64 = 2_500;
/// Nobody has a lease before it was issued, but for the same reasons.
const EARLY_MS: u64 = 1_500;
/// Answers are made some time between question and answer, and the moments of a start are not known to the tenth.
const OWN_MS: u64 = 2_500;
/// A start is charged a hundredth of the lease, and half as much for rounding.
const STARTS_PER_LEASE: u64 = 66;

/// One answer of one node. Times are UTC milliseconds of the machine, whatever the node's own clock says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Look {
    pub node: usize,
    /// How often the program had been started.
    pub run: u32,
    pub asked_ms: u64,
    pub answered_ms: u64,
    /// Whether it serves with the licence's limits.
    pub licensed: bool,
    pub remaining_ms: u64,
    /// How far the node has seen its own clock move.
    pub clock_moved_ms: i64,
    pub id: String,
}

/// The end of a lease as a manager showed it, and when it did so first.
#[derive(Clone, Debug, serde::Serialize)]
pub struct LeaseEnd {
    pub id: String,
    pub end_ms: u64,
    pub shown_ms: u64,
}

/// Both sides, as they were seen.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    pub looks: Vec<Look>,
    pub ends: Vec<LeaseEnd>,
    known: BTreeMap<String, BTreeSet<u64>>,
}

impl Leases {
    /// What a manager shows of all nodes.
    pub fn committed(&mut self, nodes: &Value, shown_ms: u64) {
        for node in nodes["nodes"].as_array().into_iter().flatten() {
            let end = node["lease_expires_at"].as_str();
            let end = end.and_then(|text| text.parse::<Timestamp>().ok());
            let (Some(id), Some(end)) = (node["id"].as_str(), end) else {
                continue;
            };
            let end_ms = u64::try_from(end.as_millisecond()).unwrap_or(0);
            if self.known.entry(id.to_owned()).or_default().insert(end_ms) {
                let id = id.to_owned();
                self.ends.push(LeaseEnd {
                    id,
                    end_ms,
                    shown_ms,
                });
            }
        }
    }

    /// Whether a lease that was committed covers the moment of the question.
    fn covers(&self, look: &Look, lease_ms: u64) -> bool {
        let from = look.asked_ms.saturating_sub(LATE_MS);
        let to = look.answered_ms + lease_ms + EARLY_MS;
        let ends = self.known.get(&look.id);
        ends.is_some_and(|ends| ends.range(from..to).next().is_some())
    }
}

/// No node serves with the licence's limits after its lease, and none is degraded while it has one that goes on, also over starts
/// of the program.
pub fn leases(seen: &Leases, lease_ms: u64) -> Finding {
    let mut complaints = Vec::new();
    let mut complain = |text: String| complaints.push((text, Vec::new()));
    let mut before: BTreeMap<usize, &Look> = BTreeMap::new();
    for look in &seen.looks {
        if look.licensed && !seen.covers(look, lease_ms) {
            let ends = seen.known.get(&look.id);
            let last = ends.and_then(|ends| ends.range(..look.asked_ms).next_back());
            let late = last.map(|end| look.asked_ms - end);
            complain(format!(
                "node-{} says at {} that it is licensed, {late:?} ms after the end of its last lease",
                look.node + 1,
                look.asked_ms,
            ));
        }
        let last = before.insert(look.node, look);
        let Some(last) = last.filter(|last| last.licensed && !look.licensed) else {
            continue;
        };
        let passed_ms = look.answered_ms.saturating_sub(last.asked_ms);
        let starts = u64::from(look.run.saturating_sub(last.run));
        let charged_ms = passed_ms + OWN_MS + starts * lease_ms / STARTS_PER_LEASE;
        if charged_ms < last.remaining_ms {
            complain(format!(
                "node-{} degraded at {}, {passed_ms} ms and {starts} starts after it had a lease of {} ms more",
                look.node + 1,
                look.asked_ms,
                last.remaining_ms
            ));
        }
    }
    let licensed = seen.looks.iter().filter(|look| look.licensed).count();
    if licensed == 0 {
        complain("no node was ever seen with a lease".into());
    }
    let moved = seen
        .looks
        .iter()
        .filter(|look| look.clock_moved_ms.abs() > 3_600_000);
    let looked_at = format!(
        "{} leases, {licensed} looks licensed, {} free, {} with a clock that had jumped",
        seen.ends.len(),
        seen.looks.len() - licensed,
        moved.count(),
    );
    Finding::of(CHECK, looked_at, complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: u64 = 10_000;

    fn look(asked_ms: u64, licensed: bool, remaining_ms: u64) -> Look {
        Look {
            node: 0,
            run: 1,
            asked_ms,
            answered_ms: asked_ms + 5,
            licensed,
            remaining_ms,
            clock_moved_ms: 0,
            id: "n".into(),
        }
    }

    fn seen(looks: &[Look]) -> Finding {
        let mut seen = Leases::default();
        let end = "1970-01-01T00:01:40Z";
        let nodes = serde_json::json!({ "nodes": [{ "id": "n", "lease_expires_at": end }] });
        seen.committed(&nodes, 90_000);
        seen.committed(&nodes, 91_000);
        assert_eq!(seen.ends.len(), 1);
        seen.looks = looks.to_vec();
        leases(&seen, LEASE_MS)
    }

    #[test]
    fn a_licensed_node_after_its_lease_is_found() {
        let good = [
            look(95_000, true, 5_000),
            look(99_900, true, 100),
            look(100_100, false, 0),
        ];
        assert!(seen(&good).ok);
        assert!(!seen(&[look(103_000, true, 3_000)]).ok);
        assert!(
            !seen(&[look(88_000, true, 3_000)]).ok,
            "before it was issued"
        );
        assert!(!seen(&[look(100_100, false, 0)]).ok, "nobody had any");
    }

    #[test]
    fn a_degraded_node_with_a_lease_is_found_also_behind_a_start() {
        let had = look(95_000, true, 5_000);
        assert!(!seen(&[had.clone(), look(95_250, false, 0)]).ok);
        let started = |asked_ms| Look {
            run: 2,
            ..look(asked_ms, false, 0)
        };
        assert!(!seen(&[had.clone(), started(96_000)]).ok);
        assert!(
            seen(&[had, started(97_600)]).ok,
            "that may have been its end"
        );
    }
}
