//! What was seen, and whether it may be.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::LEASE_MS;

/// Managers show times to the second, lookers look four times a second, leases are renewed every 1.5 s.
const SLACK_MS: u64 = 4_000;
/// Answers are made some time between question and answer; a start charges a hundredth.
const OWN_SLACK_MS: u64 = 2_500;

/// One answer of one node.
#[derive(Clone, Debug)]
pub struct Look {
    pub node: usize,
    /// Which run of the program was asked.
    pub run: u32,
    pub asked_ms: u64,
    pub answered_ms: u64,
    pub licensed: bool,
    pub remaining_ms: u64,
    pub id: String,
}

#[derive(Default)]
pub struct History {
    looks: Vec<Look>,
    /// Ends of leases that managers had committed, by node's id.
    ends: BTreeMap<String, BTreeSet<u64>>,
}

impl History {
    pub fn looked(&mut self, look: Look) {
        self.looks.push(look);
    }

    /// What a manager shows of all nodes.
    pub fn committed(&mut self, nodes: &Value) {
        let nodes = nodes["nodes"].as_array();
        for node in nodes.into_iter().flatten() {
            let end = node["lease_expires_at"].as_str();
            let end = end.and_then(|text| text.parse::<Timestamp>().ok());
            if let (Some(id), Some(end)) = (node["id"].as_str(), end) {
                let end = u64::try_from(end.as_millisecond()).unwrap_or(0);
                self.ends.entry(id.to_owned()).or_default().insert(end);
            }
        }
    }

    pub fn claims(&self) -> usize {
        self.looks.iter().filter(|look| look.licensed).count()
    }

    pub fn free(&self) -> usize {
        self.looks.len() - self.claims()
    }

    pub fn leases(&self) -> usize {
        self.ends.values().map(BTreeSet::len).sum()
    }
}

/// What must not have been seen.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut before: BTreeMap<usize, Look> = BTreeMap::new();
    for look in &history.looks {
        if look.licensed && !covered(history, look) {
            wrong.push(format!(
                "node {} says at {} that it is licensed, after every lease that was committed for it: {:?}",
                look.node,
                look.asked_ms,
                history.ends.get(&look.id).and_then(|ends| ends.range(..look.asked_ms).next_back())
            ));
        }
        let last = before.insert(look.node, look.clone());
        if let Some(last) = last.filter(|last| last.licensed && last.run == look.run) {
            let passed_ms = look.answered_ms.saturating_sub(last.asked_ms);
            if !look.licensed && passed_ms + OWN_SLACK_MS < last.remaining_ms {
                wrong.push(format!(
                    "node {} degraded at {}, {passed_ms} ms after it had a lease of {} ms more",
                    look.node, look.asked_ms, last.remaining_ms
                ));
            }
        }
    }
    wrong
}

/// Whether a lease that was committed covers the moment of the question.
fn covered(history: &History, look: &Look) -> bool {
    let ends = history.ends.get(&look.id);
    ends.is_some_and(|ends| {
        let from = look.asked_ms.saturating_sub(SLACK_MS);
        let issued_by = look.answered_ms + LEASE_MS + SLACK_MS;
        ends.range(from..issued_by).next().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(asked_ms: u64, licensed: bool, remaining_ms: u64) -> Look {
        Look {
            node: 0,
            run: 1,
            asked_ms,
            answered_ms: asked_ms + 5,
            licensed,
            remaining_ms,
            id: "n".into(),
        }
    }

    fn seen(looks: &[Look]) -> Vec<String> {
        let mut history = History::default();
        let end = "1970-01-01T00:01:40Z";
        history
            .committed(&serde_json::json!({ "nodes": [{ "id": "n", "lease_expires_at": end }] }));
        looks.iter().for_each(|it| history.looked(it.clone()));
        check(&history)
    }

    #[test]
    fn a_licensed_node_after_its_lease_and_a_degraded_one_before_are_found() {
        let good = [
            look(95_000, true, 5_000),
            look(99_900, true, 100),
            look(100_100, false, 0),
        ];
        assert_eq!(seen(&good), Vec::<String>::new());
        assert_eq!(seen(&[look(105_000, true, 3_000)]).len(), 1);
        assert_eq!(
            seen(&[look(80_000, true, 3_000)]).len(),
            1,
            "before it was issued"
        );
        let early = [look(95_000, true, 5_000), look(95_250, false, 0)];
        assert_eq!(seen(&early).len(), 1);
    }
}
