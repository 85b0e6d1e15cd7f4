//! Seats, as the event trail tells them: the trail is complete and in the log's order, so what it says holds at every index.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

const CHECK: &str = "seats";

/// What is looked at of one event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    pub index: u64,
    pub position: u64,
    /// As the API names it.
    pub kind: String,
    /// The node that it is about.
    pub node: String,
}

impl Told {
    /// From the API's JSON.
    pub fn read(event: &serde_json::Value) -> Option<Self> {
        Some(Self {
            index: event["index"].as_u64()?,
            position: event["position"].as_u64()?,
            kind: event["kind"].as_str()?.to_owned(),
            node: event["subject_id"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

/// How many seats one manager showed at one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    pub manager: usize,
    pub index: u64,
    pub seats: u64,
}

/// Never more seats than the licence has, neither by the trail nor by what any manager showed at any time.
pub fn seats(events: &[Told], shown: &[Shown], limit: u64) -> Finding {
    let mut complaints = Vec::new();
    let mut seated = BTreeSet::new();
    let mut most = 0;
    for event in events {
        match event.kind.as_str() {
            "node_joined" | "node_active" => {
                seated.insert(event.node.as_str());
            }
            "node_down" | "node_removed" => {
                seated.remove(event.node.as_str());
            }
            _ => {}
        }
        most = most.max(seated.len());
        if seated.len() as u64 > limit {
            let text = format!("{} nodes are seated at index {}", seated.len(), event.index);
            complaints.push((text, Vec::new()));
        }
    }
    let over = shown.iter().filter(|it| it.seats > limit);
    complaints.extend(over.map(|it| {
        let manager = it.manager + 1;
        let text = format!(
            "manager-{manager} shows {} seats at index {}",
            it.seats, it.index
        );
        (text, Vec::new())
    }));
    let looked_at = format!(
        "at most {most} of {limit} in {} events, {} looks",
        events.len(),
        shown.len()
    );
    Finding::of(CHECK, looked_at, complaints)
}

/// One story for each node: it joins first, and nothing is told that cannot follow.
pub fn stories(events: &[Told]) -> Finding {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    let mut complaints = Vec::new();
    let mut order = (0, 0);
    for event in events {
        let place = (event.index, event.position);
        if place <= order && order != (0, 0) {
            complaints.push((format!("{place:?} comes after {order:?}"), Vec::new()));
        }
        order = place;
        let kind = event.kind.as_str();
        let states = [
            "node_joined",
            "node_active",
            "node_unreachable",
            "node_down",
            "node_removed",
        ];
        if !states.contains(&kind) {
            continue;
        }
        let before = last.insert(&event.node, kind).unwrap_or("");
        let follows = matches!(
            (before, kind),
            ("", "node_joined")
                | (
                    "node_joined" | "node_active",
                    "node_unreachable" | "node_removed"
                )
                | (
                    "node_unreachable",
                    "node_active" | "node_down" | "node_removed"
                )
                | ("node_down", "node_active" | "node_removed")
                | ("node_removed", "node_active")
        );
        if !follows {
            let text = format!("{}: {kind} after {before:?} at {}", event.node, event.index);
            complaints.push((text, Vec::new()));
        }
    }
    let looked_at = format!("{} nodes, {} events", last.len(), events.len());
    Finding::of("stories", looked_at, complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(index: u64, kind: &str, node: &str) -> Told {
        Told {
            index,
            position: 0,
            kind: kind.into(),
            node: node.into(),
        }
    }

    #[test]
    fn one_seat_too_many_at_one_index_is_found() {
        let mut events = vec![
            told(1, "node_joined", "a"),
            told(2, "node_joined", "b"),
            told(3, "node_down", "a"),
            told(4, "node_joined", "c"),
        ];
        assert!(seats(&events, &[], 2).ok);
        events.push(told(5, "node_active", "a"));
        events.push(told(6, "node_down", "b"));
        let found = seats(&events, &[], 2);
        assert!(
            !found.ok && found.detail.contains("index 5"),
            "{}",
            found.detail
        );
    }

    #[test]
    fn one_manager_that_shows_too_many_is_found() {
        let look = |seats| Shown {
            manager: 1,
            index: 9,
            seats,
        };
        assert!(seats(&[], &[look(2)], 2).ok);
        let found = seats(&[], &[look(3)], 2);
        assert!(
            !found.ok && found.detail.contains("manager-2"),
            "{}",
            found.detail
        );
    }

    #[test]
    fn a_story_that_skips_or_repeats_is_found() {
        let good = [
            told(1, "node_joined", "a"),
            told(2, "node_unreachable", "a"),
            told(3, "node_down", "a"),
            told(4, "node_active", "a"),
            told(5, "node_removed", "a"),
        ];
        assert!(stories(&good).ok);
        for bad in [
            vec![told(1, "node_active", "a")],
            vec![told(1, "node_joined", "a"), told(2, "node_down", "a")],
            vec![told(1, "node_joined", "a"), told(2, "node_joined", "a")],
            vec![told(2, "node_joined", "a"), told(1, "node_removed", "a")],
        ] {
            assert!(!stories(&bad).ok, "{bad:?}");
        }
    }
}
