use std::collections::BTreeMap;

use crate::robustness::checker::{Finding, Told};

/// What may be told of a node while one thing happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing happened to it.
    Undisturbed,
    /// It was started anew: perhaps nobody noticed.
    Restarted,
    /// It was away for longer than the grace time, and came back.
    Away,
    /// Its link came and went so many times.
    Flapped(usize),
}

impl Fate {
    /// What is wrong with the events of one node, by their kinds.
    fn complaint(self, told: &[&str]) -> Option<String> {
        const AWAY: [&str; 3] = ["node_unreachable", "node_down", "node_active"];
        let fits = match self {
            Self::Undisturbed => told.is_empty(),
            Self::Away => told == AWAY,
            // One way out and one way back, if any.
            Self::Restarted => {
                let mut rest = AWAY.iter();
                told.iter().all(|kind| rest.any(|it| it == kind))
                    && told.last().is_none_or(|last| *last == "node_active")
            }
            Self::Flapped(times) => {
                let left = told
                    .iter()
                    .filter(|kind| **kind == "node_unreachable")
                    .count();
                left <= times && told.last().is_none_or(|last| *last == "node_active")
            }
        };
        (!fits).then(|| format!("{self:?}, and {told:?} is told"))
    }
}

/// Each node's events since some moment, by its id, against what happened to it.
pub fn stories(check: &'static str, told: &[Told], fates: &BTreeMap<String, Fate>) -> Finding {
    let mut complaints = Vec::new();
    let mut events = 0;
    for (node, fate) in fates {
        let own = told.iter().filter(|it| it.node == *node);
        let own: Vec<&str> = own
            .map(|it| it.kind.as_str())
            .filter(|kind| kind.starts_with("node_"))
            .collect();
        events += own.len();
        if let Some(wrong) = fate.complaint(&own) {
            complaints.push((format!("{node}: {wrong}"), Vec::new()));
        }
    }
    let looked_at = format!("{events} events of {} nodes", fates.len());
    Finding::of(check, looked_at, complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_told_than_has_happened_is_found() {
        let (out, down, back) = ("node_unreachable", "node_down", "node_active");
        let cases: [(Fate, &[&str], bool); 11] = [
            (Fate::Undisturbed, &[], true),
            (Fate::Undisturbed, &[out, back], false),
            (Fate::Restarted, &[], true),
            (Fate::Restarted, &[out, back], true),
            (Fate::Restarted, &[out, back, out, back], false),
            (Fate::Restarted, &[out], false),
            (Fate::Away, &[out, down, back], true),
            (Fate::Away, &[out, back], false),
            (Fate::Away, &[out, back, out, down, back], false),
            (Fate::Flapped(2), &[out, back, out, back], true),
            (Fate::Flapped(1), &[out, back, out, back], false),
        ];
        for (fate, told, fits) in cases {
            assert_eq!(fate.complaint(told).is_none(), fits, "{fate:?} {told:?}");
        }
    }
}
