//! The licence's life and a node's history as stretches of one line.

use krakend_api::{Event, EventKind, License};

use super::clock;

const DAY_MS: i64 = 86_400_000;

/// One stretch in shares of the line from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    pub from: f64,
    pub to: f64,
    /// `valid`, `expiring`, `grace`, `free`; or a node's state.
    pub kind: &'static str,
    pub label: String,
    /// Unix milliseconds at which it begins.
    pub at_ms: i64,
}

/// The line of the licence, and where today is on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub stretches: Vec<Stretch>,
    pub today: f64,
}

/// From 90 days before the end (or today, when that is earlier) to some days after grace. Nothing for a licence without an end.
#[must_use]
pub fn life(license: &License, now_ms: i64) -> Option<Life> {
    let end = clock::parse(license.expires_at.as_deref()?)?;
    let grace = license
        .grace_ends_at
        .as_deref()
        .and_then(clock::parse)
        .unwrap_or(end)
        .max(end);
    let begun = license.not_before.as_deref().and_then(clock::parse);
    let from = (end - 90 * DAY_MS).min(now_ms - 3 * DAY_MS);
    let from = begun.map_or(from, |begun| from.max(begun.min(now_ms)));
    let to = (grace + (grace - from) / 16).max(now_ms + (now_ms - from) / 40);
    let cuts = [
        (from, "valid", "valid, reminder at 90 d".to_owned()),
        (end - 30 * DAY_MS, "expiring", "expiring, 30 d".to_owned()),
        (end - 15 * DAY_MS, "expiring", "15 d".to_owned()),
        (end - 7 * DAY_MS, "expiring", "7 d".to_owned()),
        (end, "grace", format!("grace, {} d", (grace - end) / DAY_MS)),
        (grace, "free", "free".to_owned()),
    ];
    let share = |at: i64| (at - from) as f64 / (to - from).max(1) as f64;
    let mut stretches = Vec::new();
    for (n, (at, kind, label)) in cuts.iter().enumerate() {
        let next = cuts.get(n + 1).map_or(to, |cut| cut.0);
        let begin = (*at).max(from);
        if next > begin {
            stretches.push(Stretch {
                from: share(begin),
                to: share(next),
                kind,
                label: label.clone(),
                at_ms: begin,
            });
        }
    }
    Some(Life {
        stretches,
        today: share(now_ms).clamp(0.0, 1.0),
    })
}

/// What a node was between two times, by its events (any order). Before the first of them it had not joined, unless it had long before.
#[must_use]
pub fn history(
    events: &[Event],
    node_id: &str,
    joined_ms: Option<i64>,
    range: (i64, i64),
) -> Vec<Stretch> {
    let (from, to) = range;
    let mut changes: Vec<(i64, &'static str)> = events
        .iter()
        .filter(|e| e.subject_id.as_deref() == Some(node_id))
        .filter_map(|e| Some((clock::parse(&e.time)?, state(e.kind)?)))
        .collect();
    super::order::sort_by(&mut changes, |a, b| a.0.cmp(&b.0));
    if let Some(joined) = joined_ms
        && changes.first().is_none_or(|first| first.0 > joined)
    {
        changes.insert(0, (joined, "active"));
    }
    let share = |at: i64| (at.clamp(from, to) - from) as f64 / (to - from).max(1) as f64;
    let mut out: Vec<Stretch> = Vec::new();
    for (n, (at, kind)) in changes.iter().enumerate() {
        let next = changes.get(n + 1).map_or(to, |c| c.0);
        if next <= from || *at >= to {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.kind == *kind => last.to = share(next),
            _ => out.push(Stretch {
                from: share(*at),
                to: share(next),
                kind,
                label: (*kind).to_owned(),
                at_ms: *at,
            }),
        }
    }
    out
}

fn state(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::NodeJoined | EventKind::NodeActive => "active",
        EventKind::NodeUnreachable => "unreachable",
        EventKind::NodeDown => "down",
        EventKind::NodeRemoved => "removed",
        _ => return None,
    })
}

/// Time in each state, the longest first, in milliseconds.
#[must_use]
pub fn totals(stretches: &[Stretch], range: (i64, i64)) -> Vec<(&'static str, i64)> {
    let span = (range.1 - range.0) as f64;
    let mut out: Vec<(&'static str, i64)> = Vec::new();
    for stretch in stretches {
        let ms = ((stretch.to - stretch.from) * span).round() as i64;
        match out.iter_mut().find(|(kind, _)| *kind == stretch.kind) {
            Some((_, sum)) => *sum += ms,
            None => out.push((stretch.kind, ms)),
        }
    }
    super::order::sort_by(&mut out, |a, b| b.1.cmp(&a.1));
    out
}

/// Who led between two times.
#[must_use]
pub fn leaders(events: &[Event], range: (i64, i64)) -> Vec<(String, Stretch)> {
    let (from, to) = range;
    let mut changes: Vec<(i64, &Event)> = events
        .iter()
        .filter(|e| e.kind == EventKind::LeaderElected)
        .filter_map(|e| Some((clock::parse(&e.time)?, e)))
        .collect();
    super::order::sort_by(&mut changes, |a, b| (a.0, a.1.index).cmp(&(b.0, b.1.index)));
    let share = |at: i64| (at.clamp(from, to) - from) as f64 / (to - from).max(1) as f64;
    let ends: Vec<i64> = changes.iter().skip(1).map(|c| c.0).chain([to]).collect();
    changes
        .iter()
        .zip(ends)
        .filter(|((at, _), end)| *end > from && *at < to)
        .filter_map(|((at, event), end)| {
            Some((
                event.subject_name.clone()?,
                Stretch {
                    from: share(*at),
                    to: share(end),
                    kind: "leader",
                    label: term(&event.message).map_or_else(String::new, |t| format!("term {t}")),
                    at_ms: *at,
                },
            ))
        })
        .collect()
}

/// The number after the word `term`.
#[must_use]
pub fn term(message: &str) -> Option<u64> {
    let rest = message.split("term ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::LicenseState;

    fn at(text: &str) -> i64 {
        clock::parse(text).expect("valid")
    }

    fn event(time: &str, kind: EventKind, name: &str) -> Event {
        Event {
            index: 1,
            position: 0,
            time: time.to_owned(),
            kind,
            fleet: None,
            subject_id: Some("n".to_owned()),
            subject_name: Some(name.to_owned()),
            version: None,
            message: format!("{name} leads, term 47"),
        }
    }

    #[test]
    fn a_licence_goes_through_all_its_stretches_without_holes() {
        let license = License {
            state: LicenseState::Expiring,
            subscriber: Some("Acme".to_owned()),
            level: "business".to_owned(),
            max_nodes: 15,
            seats_used: 12,
            over_by: 0,
            features: Vec::new(),
            not_before: Some("2025-12-14T00:00:00Z".to_owned()),
            expires_at: Some("2026-12-14T00:00:00Z".to_owned()),
            grace_ends_at: Some("2026-12-28T00:00:00Z".to_owned()),
            days_left: Some(27),
            free_max_nodes: 3,
            group: None,
            notice_days: Some(30),
            checks: Vec::new(),
        };
        let life = life(&license, at("2026-11-17T00:00:00Z")).expect("it ends");
        let kinds: Vec<_> = life.stretches.iter().map(|s| s.kind).collect();
        assert_eq!(
            kinds,
            ["valid", "expiring", "expiring", "expiring", "grace", "free"]
        );
        for pair in life.stretches.windows(2) {
            assert!((pair[0].to - pair[1].from).abs() < 1e-9);
        }
        assert!((life.stretches[5].to - 1.0).abs() < 1e-9);
        assert!(life.today > life.stretches[1].from && life.today < life.stretches[1].to);
        let endless = License {
            expires_at: None,
            ..license
        };
        assert!(super::life(&endless, 0).is_none());
    }

    #[test]
    fn a_nodes_history_is_what_its_events_say() {
        let range = (at("2026-11-01T00:00:00Z"), at("2026-11-11T00:00:00Z"));
        let events = [
            event("2026-11-09T00:00:00Z", EventKind::NodeActive, "a"),
            event("2026-11-08T00:00:00Z", EventKind::NodeUnreachable, "a"),
            event("2026-11-03T00:00:00Z", EventKind::VersionApplied, "a"),
        ];
        let joined = Some(at("2026-10-01T00:00:00Z"));
        let line = history(&events, "n", joined, range);
        let kinds: Vec<_> = line.iter().map(|s| s.kind).collect();
        assert_eq!(kinds, ["active", "unreachable", "active"]);
        assert_eq!(totals(&line, range)[0], ("active", 9 * DAY_MS));
        assert!(history(&events, "other", None, range).is_empty());
    }

    #[test]
    fn leaders_follow_each_other() {
        let range = (at("2026-11-01T00:00:00Z"), at("2026-11-02T00:00:00Z"));
        let events = [
            event("2026-11-01T12:00:00Z", EventKind::LeaderElected, "cm-2"),
            event("2026-10-20T12:00:00Z", EventKind::LeaderElected, "cm-1"),
        ];
        let led = leaders(&events, range);
        assert_eq!(led.len(), 2);
        assert_eq!(
            (led[0].0.as_str(), led[0].1.from, led[0].1.to),
            ("cm-1", 0.0, 0.5)
        );
        assert_eq!(led[1].1.label, "term 47");
    }
}
