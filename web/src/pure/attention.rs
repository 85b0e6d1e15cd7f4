//! What wants an operator, worst first.

use krakend_api::{
    GroupStatus, License, LicenseState, Manager, ManagerRole, Node, NodeState, RolloutProgress,
};

use super::clock::{self, Zone};
use super::event::Mark;
use super::format;
use super::rollout::{self, Step};

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub mark: Mark,
    pub title: String,
    pub detail: String,
    /// Where it is dealt with.
    pub href: String,
}

/// What the list is made of. Parts that have not arrived are empty.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub status: Option<&'a GroupStatus>,
    pub managers: &'a [Manager],
    pub nodes: &'a [Node],
    pub newest: Option<(u64, &'a RolloutProgress)>,
    pub license: Option<&'a License>,
    pub now_ms: i64,
    pub zone: Zone,
}

/// The rows, worst first.
#[must_use]
pub fn items(facts: &Facts<'_>) -> Vec<Item> {
    let mut out = Vec::new();
    managers(facts, &mut out);
    nodes(facts, &mut out);
    if let Some((version, progress)) = facts.newest
        && rollout::is_running(progress)
    {
        out.push(Item {
            mark: Mark::Applying,
            title: format!("Publishing v{version}"),
            detail: rollout::progress_text(progress),
            href: "/configuration".to_owned(),
        });
    }
    if let Some(license) = facts.license {
        licence(facts, license, &mut out);
    }
    for alarm in facts.status.map_or(&[][..], |s| &s.alarms) {
        out.push(Item {
            mark: Mark::Unreachable,
            title: sentence(&alarm.kind),
            detail: alarm.message.clone(),
            href: "/events".to_owned(),
        });
    }
    out
}

fn managers(facts: &Facts<'_>, out: &mut Vec<Item>) {
    if let Some(status) = facts.status
        && status.leader_id.is_none()
    {
        out.push(Item {
            mark: Mark::ManagerUnreachable,
            title: "No leader".to_owned(),
            detail: format!(
                "{} of {} managers needed",
                status.voters / 2 + 1,
                status.voters
            ),
            href: "/managers".to_owned(),
        });
    }
    for manager in facts
        .managers
        .iter()
        .filter(|m| m.role == ManagerRole::Unreachable)
    {
        out.push(Item {
            mark: Mark::ManagerUnreachable,
            title: "Manager unreachable".to_owned(),
            detail: manager.name.clone(),
            href: "/managers".to_owned(),
        });
    }
}

fn nodes(facts: &Facts<'_>, out: &mut Vec<Item>) {
    for node in facts.nodes {
        let (mark, title) = match (node.state, rollout::step(node)) {
            (NodeState::Unreachable | NodeState::Down | NodeState::Removed, _)
                if node.free_version_since.is_some() =>
            {
                (Mark::Down, "Node on the free version".to_owned())
            }
            (NodeState::Down, _) => (Mark::Down, "Node down".to_owned()),
            (NodeState::Unreachable, _) => (Mark::Unreachable, "Node unreachable".to_owned()),
            (NodeState::Active, Step::Refused) => (
                Mark::Refused,
                format!("Refused v{}", node.desired_version.unwrap_or_default()),
            ),
            (NodeState::Active, Step::Applied) if node.ready == Some(false) => {
                (Mark::Unreachable, "Node not ready".to_owned())
            }
            (NodeState::Active, _) if !node.holds_seat => {
                (Mark::Pending, "Node without a seat".to_owned())
            }
            _ => continue,
        };
        let silent = matches!(node.state, NodeState::Down | NodeState::Unreachable);
        let since = match &node.free_version_since {
            Some(since) => clock::parse(since),
            None => clock::parse(&node.state_since).filter(|_| silent),
        };
        out.push(Item {
            mark,
            title,
            href: format!("/nodes/{}", node.id),
            detail: match since {
                Some(at) => format!(
                    "{}, {}",
                    node.name,
                    format::duration_short(facts.now_ms - at)
                ),
                None => node.name.clone(),
            },
        });
    }
}

fn licence(facts: &Facts<'_>, license: &License, out: &mut Vec<Item>) {
    let day = |text: &Option<String>| {
        text.as_deref().and_then(clock::parse).map_or_else(
            || format::NO_DATA.to_owned(),
            |at| facts.zone.day(at, facts.now_ms),
        )
    };
    let (title, detail) = match license.state {
        LicenseState::Valid => ("", String::new()),
        LicenseState::Expiring => (
            "Licence expires",
            match license.days_left {
                Some(days) => format!("{}, in {days} d", day(&license.expires_at)),
                None => day(&license.expires_at),
            },
        ),
        LicenseState::Grace => (
            "Licence over, in grace",
            format!("until {}", day(&license.grace_ends_at)),
        ),
        // Free without a subscriber is a choice, not trouble.
        LicenseState::Free if license.subscriber.is_none() => ("", String::new()),
        LicenseState::Free => ("Licence over", "the free limits hold".to_owned()),
    };
    if !title.is_empty() {
        out.push(Item {
            mark: Mark::Expiring,
            title: title.to_owned(),
            detail,
            href: "/licence".to_owned(),
        });
    }
    if license.over_by > 0 {
        out.push(Item {
            mark: Mark::Expiring,
            title: "More nodes than seats".to_owned(),
            detail: format!("{} over", license.over_by),
            href: "/licence".to_owned(),
        });
    }
}

/// `clock-skew` as `Clock skew`.
fn sentence(kind: &str) -> String {
    let mut text = kind.replace(['-', '_'], " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::rollout::tests::node;
    use crate::pure::verdict::tests::status;
    use krakend_api::Alarm;

    fn license(state: LicenseState) -> License {
        License {
            state,
            subscriber: Some("Acme".to_owned()),
            level: "Business".to_owned(),
            max_nodes: 15,
            seats_used: 12,
            over_by: 0,
            features: Vec::new(),
            not_before: None,
            expires_at: Some("2026-12-14T00:00:00Z".to_owned()),
            grace_ends_at: None,
            days_left: Some(27),
            free_max_nodes: 3,
            group: None,
            notice_days: None,
            checks: Vec::new(),
        }
    }

    fn of(status: &GroupStatus, nodes: &[Node], license: &License) -> Vec<Item> {
        items(&Facts {
            status: Some(status),
            managers: &[],
            nodes,
            newest: None,
            license: Some(license),
            now_ms: clock::parse("2026-11-17T13:03:12Z").expect("valid"),
            zone: Zone::default(),
        })
    }

    #[test]
    fn nothing_is_listed_while_all_is_well() {
        assert!(of(&status(), &[node("a")], &license(LicenseState::Valid)).is_empty());
    }

    #[test]
    fn trouble_is_listed_with_its_subject_and_age() {
        let mut silent = node("gw-par-3");
        silent.state = NodeState::Unreachable;
        let list = of(&status(), &[silent], &license(LicenseState::Expiring));
        assert_eq!(list[0].detail, "gw-par-3, 3 min");
        assert_eq!(list[1].title, "Licence expires");
        assert_eq!(list[1].detail, "14 Dec, in 27 d");
    }

    #[test]
    fn alarms_of_the_group_are_listed_in_words() {
        let mut alarmed = status();
        alarmed.alarms.push(Alarm {
            kind: "clock-skew".to_owned(),
            message: "cm-3 is 6 s off".to_owned(),
            since: String::new(),
        });
        let list = of(&alarmed, &[node("a")], &license(LicenseState::Valid));
        assert_eq!(list[0].title, "Clock skew");
    }

    #[test]
    fn running_on_the_free_limits_by_choice_is_no_trouble() {
        let mut free = license(LicenseState::Free);
        free.subscriber = None;
        assert!(of(&status(), &[node("a")], &free).is_empty());
    }
}
