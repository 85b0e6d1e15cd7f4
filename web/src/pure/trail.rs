//! Events and the audit trail as one list.

use krakend_api::{AuditRecord, Event, EventKind};

use super::clock;
use super::event::{self, Mark};

/// Which of the two lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    All,
    Events,
    Audit,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub index: u64,
    pub position: u32,
    pub at_ms: i64,
    pub mark: Mark,
    pub text: String,
    /// `node`, `configuration`, `group`, `licence`, `audit`.
    pub kind: &'static str,
    pub by: String,
    pub event: Option<Event>,
    pub record: Option<AuditRecord>,
}

/// Kinds of rows, for the filter.
pub const KINDS: [&str; 6] = [
    "node",
    "configuration",
    "group",
    "licence",
    "token",
    "audit",
];

/// What the reader wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub tab: Tab,
    /// Lower case.
    pub text: String,
    pub kind: Option<String>,
    pub who: Option<String>,
    /// Unix milliseconds.
    pub since_ms: Option<i64>,
}

/// Newest first. A write and the event that it caused are one row: they have the same log index.
#[must_use]
pub fn rows(events: &[Event], records: &[AuditRecord], filter: &Filter) -> Vec<Row> {
    let mut out = Vec::new();
    if filter.tab != Tab::Audit {
        for event in events.iter().filter(|e| event::is_shown(e)) {
            let record = match filter.tab {
                Tab::All => records.iter().find(|r| r.index == event.index),
                _ => None,
            };
            // The first event of an entry carries the record.
            out.push(of_event(event, record.filter(|_| event.position == 0)));
        }
    }
    if filter.tab != Tab::Events {
        let alone = |r: &&AuditRecord| !out.iter().any(|row: &Row| row.index == r.index);
        let more: Vec<Row> = records.iter().filter(alone).map(of_record).collect();
        out.extend(more);
    }
    out.retain(|row| takes(row, filter));
    super::order::sort_by(&mut out, |a, b| {
        (b.index, b.position).cmp(&(a.index, a.position))
    });
    out
}

fn takes(row: &Row, filter: &Filter) -> bool {
    let text = || {
        let index = row.index.to_string();
        let request = row.record.as_ref().map(|r| r.request.to_lowercase());
        row.text.to_lowercase().contains(&filter.text)
            || row.by.to_lowercase().contains(&filter.text)
            || index == filter.text.replace(',', "")
            || request.is_some_and(|r| r.contains(&filter.text))
    };
    filter
        .kind
        .as_ref()
        .is_none_or(|kind| row.kind == kind.as_str())
        && filter.who.as_ref().is_none_or(|who| row.by == *who)
        && filter.since_ms.is_none_or(|since| row.at_ms >= since)
        && (filter.text.is_empty() || text())
}

fn of_event(event: &Event, record: Option<&AuditRecord>) -> Row {
    Row {
        index: event.index,
        position: event.position,
        at_ms: clock::parse(&event.time).unwrap_or_default(),
        mark: event::mark(event.kind),
        text: event.message.clone(),
        kind: if record.is_some() {
            "audit"
        } else {
            kind(event.kind)
        },
        by: record.map(|r| r.actor.name.clone()).unwrap_or_default(),
        event: Some(event.clone()),
        record: record.cloned(),
    }
}

fn of_record(record: &AuditRecord) -> Row {
    let action = record.action.replace('-', " ");
    let mut text = format!("{action} {}", record.subject);
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    Row {
        index: record.index,
        position: 0,
        at_ms: clock::parse(&record.time).unwrap_or_default(),
        mark: match record.action.as_str() {
            "publish" => Mark::Published,
            "rollback" => Mark::RolledBack,
            _ => Mark::Dot,
        },
        text,
        kind: "audit",
        by: record.actor.name.clone(),
        event: None,
        record: Some(record.clone()),
    }
}

/// The group that a kind of event belongs to.
#[must_use]
pub fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::NodeJoined
        | EventKind::NodeActive
        | EventKind::NodeUnreachable
        | EventKind::NodeDown
        | EventKind::NodeRemoved
        | EventKind::NodeRefused
        | EventKind::GossipBlocked
        | EventKind::GossipOpen => "node",
        EventKind::VersionPublished
        | EventKind::VersionApplied
        | EventKind::VersionRefused
        | EventKind::FleetCreated => "configuration",
        EventKind::LicenseInstalled
        | EventKind::LicenseRemoved
        | EventKind::LicenseStateChanged
        | EventKind::LicenseNotice
        | EventKind::LicenseUnverified
        | EventKind::LicenseVerified => "licence",
        EventKind::TokenCreated | EventKind::TokenRevoked => "token",
        _ => "group",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::AuditActor;

    fn event(index: u64, kind: EventKind, message: &str) -> Event {
        Event {
            index,
            position: 0,
            time: "2026-11-17T13:00:00Z".to_owned(),
            kind,
            fleet: None,
            subject_id: None,
            subject_name: None,
            version: None,
            message: message.to_owned(),
        }
    }

    fn record(index: u64, action: &str) -> AuditRecord {
        AuditRecord {
            index,
            time: "2026-11-17T13:00:00Z".to_owned(),
            action: action.to_owned(),
            subject: "ci".to_owned(),
            fleet: None,
            actor: AuditActor {
                token_id: None,
                name: "maria".to_owned(),
                role: None,
                address: None,
                via: "web".to_owned(),
            },
            request: "POST /v1/tokens".to_owned(),
            idempotency_key: None,
            before: None,
            after: None,
            previous_hash: String::new(),
            hash: String::new(),
        }
    }

    #[test]
    fn a_write_and_its_event_are_one_row() {
        let events = [
            event(9, EventKind::VersionPublished, "maria published v2"),
            event(7, EventKind::NodeJoined, "gw joined"),
        ];
        let records = [record(9, "publish"), record(8, "create-token")];
        let all = rows(&events, &records, &Filter::default());
        let seen: Vec<_> = all
            .iter()
            .map(|r| (r.index, r.kind, r.by.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                (9, "audit", "maria"),
                (8, "audit", "maria"),
                (7, "node", "")
            ]
        );
        assert_eq!(all[1].text, "Create token ci");
        let filter = Filter {
            tab: Tab::Audit,
            ..Filter::default()
        };
        assert_eq!(rows(&events, &records, &filter).len(), 2);
    }

    #[test]
    fn text_finds_words_people_requests_and_indexes() {
        let events = [event(1_840, EventKind::NodeJoined, "gw-par-3 joined")];
        let records = [record(8, "create-token")];
        for (text, index) in [
            ("par-3", 1_840),
            ("1,840", 1_840),
            ("maria", 8),
            ("/v1/tok", 8),
        ] {
            let filter = Filter {
                text: text.to_owned(),
                ..Filter::default()
            };
            let found = rows(&events, &records, &filter);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].index, index);
        }
    }
}
