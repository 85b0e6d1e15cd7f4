//! The sentence that opens the page: the state, then its consequence.

use krakend_api::{GroupStatus, Node, NodeState, RolloutProgress};

use super::clock::{self, Zone};
use super::event::Mark;
use super::format;
use super::rollout::{self, Step};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Calm,
    Good,
    Warning,
    Bad,
}

/// State and consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub tone: Tone,
    pub mark: Mark,
    pub title: String,
    pub lines: Vec<String>,
}

/// What the verdict is made of.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub status: &'a GroupStatus,
    pub nodes: &'a [Node],
    pub requests_per_s: Option<f64>,
    pub newest: Option<(u64, RolloutProgress)>,
    pub now_ms: i64,
    pub zone: Zone,
}

impl Verdict {
    /// Judges the facts, the worst first.
    #[must_use]
    pub fn of(facts: &Facts<'_>) -> Self {
        no_leader(facts)
            .or_else(|| no_nodes(facts))
            .or_else(|| silent_nodes(facts))
            .or_else(|| refused(facts))
            .or_else(|| missing_managers(facts))
            .or_else(|| not_ready(facts))
            .unwrap_or_else(|| all_well(facts))
    }
}

fn no_leader(facts: &Facts<'_>) -> Option<Verdict> {
    let status = facts.status;
    if status.leader_id.is_some() {
        return None;
    }
    // Only a leader knows who answers.
    let needed = status.voters / 2 + 1;
    Some(Verdict {
        tone: Tone::Bad,
        mark: Mark::ManagerUnreachable,
        title: format!(
            "No leader. {needed} of {} managers must reach each other.",
            status.voters
        ),
        lines: vec![
            "All nodes go on serving with the configuration that they have.".to_owned(),
            format!(
                "Nothing can be changed until there is a leader. What you see is from {}.",
                status.answered_by_name
            ),
        ],
    })
}

fn no_nodes(facts: &Facts<'_>) -> Option<Verdict> {
    facts
        .nodes
        .iter()
        .all(|n| n.state == NodeState::Removed)
        .then(|| Verdict {
            tone: Tone::Calm,
            mark: Mark::Pending,
            title: "No nodes yet. Nothing serves traffic.".to_owned(),
            lines: vec![
                "Start krakend-node on a machine and name one manager as its seed.".to_owned(),
                "It finds the others by itself and shows up here in seconds.".to_owned(),
            ],
        })
}

fn silent_nodes(facts: &Facts<'_>) -> Option<Verdict> {
    let of = |state| facts.nodes.iter().filter(move |n| n.state == state);
    let (down, unreachable) = (
        of(NodeState::Down).count(),
        of(NodeState::Unreachable).count(),
    );
    let active = of(NodeState::Active).count();
    let silent = u32::try_from(down + unreachable).unwrap_or(u32::MAX);
    let first = of(NodeState::Unreachable)
        .next()
        .or_else(|| of(NodeState::Down).next())?;
    let (verb, pronoun) = if silent == 1 {
        ("does", "Its seat is")
    } else {
        ("do", "Their seats are")
    };
    let title = match (active, down > 0 && unreachable == 0) {
        (0, _) => "No node answers. Traffic is in danger.".to_owned(),
        (_, true) => format!(
            "{} {} down.",
            opening(facts),
            subject(silent, "node", "is", "are")
        ),
        (_, false) => format!(
            "{} {} {verb} not answer.",
            opening(facts),
            subject(silent, "node", "", "").trim_end()
        ),
    };
    let names = listed(
        facts
            .nodes
            .iter()
            .filter(|n| matches!(n.state, NodeState::Down | NodeState::Unreachable)),
    );
    let since = clock::parse(&first.state_since)
        .map(|at| format::duration(facts.now_ms - at))
        .unwrap_or_else(|| "a while".to_owned());
    let has = if silent == 1 { "has" } else { "have" };
    let mut line = if silent == 1 {
        format!("{names} {has} been silent for {since}. {pronoun} kept.")
    } else {
        format!("{names} {has} been silent, the newest for {since}. {pronoun} kept.")
    };
    if let Some(at) = first.down_at.as_deref().and_then(clock::parse)
        && first.state == NodeState::Unreachable
        && at > facts.now_ms
    {
        line.push_str(&format!(
            " Unless it answers, it counts as down at {}.",
            facts.zone.seconds(at)
        ));
    }
    let others = match active {
        0 => {
            "The managers hear from no node. Look at the machines and the network first.".to_owned()
        }
        1 => "The other node carries the traffic.".to_owned(),
        n => format!("The other {n} nodes carry the traffic."),
    };
    Some(Verdict {
        tone: if active == 0 {
            Tone::Bad
        } else {
            Tone::Warning
        },
        mark: if unreachable > 0 {
            Mark::Unreachable
        } else {
            Mark::Down
        },
        title,
        lines: vec![line, others],
    })
}

fn refused(facts: &Facts<'_>) -> Option<Verdict> {
    let refusing: Vec<&Node> = facts
        .nodes
        .iter()
        .filter(|n| rollout::step(n) == Step::Refused)
        .collect();
    let first = refusing.first()?;
    let count = u32::try_from(refusing.len()).unwrap_or(u32::MAX);
    let version = first
        .desired_version
        .map_or_else(String::new, |v| format!(" v{v}"));
    Some(Verdict {
        tone: Tone::Bad,
        mark: Mark::Refused,
        title: format!(
            "{} {} refused{version}.",
            opening(facts),
            subject(count, "node", "", "").trim_end()
        ),
        lines: vec![
            format!(
                "{}: {}",
                first.name,
                first.refusal.as_deref().unwrap_or_default()
            ),
            "It goes on serving the version that it had.".to_owned(),
        ],
    })
}

fn missing_managers(facts: &Facts<'_>) -> Option<Verdict> {
    let status = facts.status;
    let missing = status.voters.saturating_sub(status.reachable_voters);
    (missing > 0).then(|| Verdict {
        tone: Tone::Warning,
        mark: Mark::ManagerUnreachable,
        title: format!(
            "{} {} not answer.",
            opening(facts),
            subject(missing, "manager", "does", "do")
        ),
        lines: vec![
            match status.can_lose {
                0 => "No further manager may be lost, or nothing can be changed until it is back."
                    .to_owned(),
                n => format!("{} more can be lost.", format::count_word(n)),
            },
            "Nodes are not affected: they serve with or without managers.".to_owned(),
        ],
    })
}

fn not_ready(facts: &Facts<'_>) -> Option<Verdict> {
    let active = || facts.nodes.iter().filter(|n| n.state == NodeState::Active);
    if active().all(|n| n.desired_version.is_none()) {
        return Some(Verdict {
            tone: Tone::Calm,
            mark: Mark::Pending,
            title: "Waiting for the first version. Nodes answer 503 until then.".to_owned(),
            lines: vec![
                "Publish a KrakenD configuration; all nodes apply it within seconds.".to_owned(),
            ],
        });
    }
    let waiting: Vec<&Node> = active()
        .filter(|n| n.ready == Some(false) && rollout::step(n) == Step::Applied)
        .collect();
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    (count > 0).then(|| Verdict {
        tone: Tone::Warning,
        mark: Mark::Unreachable,
        title: format!(
            "{} {} not ready.",
            opening(facts),
            subject(count, "node", "is", "are")
        ),
        lines: vec![format!(
            "{} answered its health check with not ready.",
            listed(waiting.iter().copied())
        )],
    })
}

fn all_well(facts: &Facts<'_>) -> Verdict {
    let active = facts
        .nodes
        .iter()
        .filter(|n| n.state == NodeState::Active)
        .count();
    let running = facts
        .newest
        .as_ref()
        .filter(|(_, p)| rollout::is_running(p));
    let title = match active {
        1 => format!("{} The only node answers.", opening(facts)),
        n => {
            let count = format::count_word(u32::try_from(n).unwrap_or(u32::MAX));
            format!(
                "{} All {} nodes answer.",
                opening(facts),
                count.to_lowercase()
            )
        }
    };
    let first = match (&facts.newest, running) {
        (_, Some((v, p))) => {
            format!("v{v} is on its way: {} nodes have applied it.", of_total(p))
        }
        (Some((v, _)), None) if active > 1 => format!("All of them run v{v}."),
        (Some((v, _)), None) => format!("It runs v{v}."),
        (None, None) => "No version is published yet.".to_owned(),
    };
    let second = match facts.status.can_lose {
        0 => "No manager may be lost, or nothing can be changed until it is back.".to_owned(),
        1 => "One manager can be lost without any effect on traffic or changes.".to_owned(),
        n => format!(
            "{} managers can be lost without any effect.",
            format::count_word(n)
        ),
    };
    Verdict {
        tone: Tone::Good,
        mark: if running.is_some() {
            Mark::Applying
        } else {
            Mark::Applied
        },
        title,
        lines: vec![first, second],
    }
}

fn of_total(progress: &RolloutProgress) -> String {
    format!("{} of {}", progress.applied, progress.total)
}

/// Says what the fleet does: only what was measured counts as serving.
fn opening(facts: &Facts<'_>) -> &'static str {
    match facts.requests_per_s {
        Some(rate) if rate > 0.0 => "Serving traffic.",
        _ => "No traffic right now.",
    }
}

fn subject(n: u32, noun: &str, singular: &str, plural: &str) -> String {
    if n == 1 {
        format!("One {noun} {singular}")
    } else {
        format!("{} {noun}s {plural}", format::count_word(n))
    }
}

/// `a`, `a and b`, `a, b and 3 more`.
fn listed<'a>(nodes: impl Iterator<Item = &'a Node>) -> String {
    let names: Vec<&str> = nodes.map(|n| n.name.as_str()).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
