//! Which mark an event gets, and which events the overview shows.

use krakend_api::{Event, EventKind};

use super::chart::{Moment, MomentKind};
use super::clock;

/// Names of the messages on the event stream that carry an [`Event`].
pub const STREAM_KINDS: [&str; 34] = [
    "group_formed",
    "manager_joined",
    "leader_elected",
    "node_joined",
    "node_active",
    "node_unreachable",
    "node_down",
    "node_removed",
    "node_refused",
    "version_published",
    "version_applied",
    "version_refused",
    "license_installed",
    "license_removed",
    "license_state_changed",
    "token_created",
    "token_revoked",
    "fleet_created",
    "manager_promoted",
    "manager_removed",
    "manager_moved",
    "leadership_transferred",
    "clock_held",
    "clock_confirmed",
    "clock_reset",
    "clock_off",
    "clock_right",
    "feature_level_raised",
    "statistics_window",
    "group_restored",
    "group_recovered",
    "backup_failed",
    "backup_saved",
    "other",
];

/// Mark beside an event, or beside anything else that has a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Active,
    Unreachable,
    Down,
    Removed,
    Applied,
    Applying,
    Pending,
    Refused,
    Published,
    RolledBack,
    Drift,
    Held,
    Leader,
    Follower,
    Learner,
    ManagerUnreachable,
    Live,
    Reconnecting,
    Expiring,
    Dot,
}

/// The mark of an event.
#[must_use]
pub fn mark(kind: EventKind) -> Mark {
    match kind {
        EventKind::LeaderElected | EventKind::LeadershipTransferred => Mark::Leader,
        EventKind::ManagerJoined | EventKind::ManagerPromoted | EventKind::ManagerMoved => {
            Mark::Follower
        }
        EventKind::NodeJoined | EventKind::NodeActive => Mark::Active,
        EventKind::NodeUnreachable => Mark::Unreachable,
        EventKind::NodeDown => Mark::Down,
        EventKind::NodeRemoved | EventKind::ManagerRemoved => Mark::Removed,
        EventKind::NodeRefused | EventKind::VersionRefused => Mark::Refused,
        EventKind::VersionPublished => Mark::Published,
        EventKind::VersionApplied => Mark::Applied,
        EventKind::LicenseStateChanged | EventKind::LicenseNotice => Mark::Expiring,
        EventKind::LicenseUnverified
        | EventKind::GossipBlocked
        | EventKind::GatewayRestartFailed
        | EventKind::NodeLeaseEnded
        | EventKind::DriftFound => Mark::Unreachable,
        EventKind::GroupFormed
        | EventKind::GroupRestored
        | EventKind::GroupRecovered
        | EventKind::BackupFailed
        | EventKind::BackupSaved
        | EventKind::LicenseInstalled
        | EventKind::LicenseRemoved
        | EventKind::TokenCreated
        | EventKind::TokenRevoked
        | EventKind::FleetCreated
        | EventKind::ClockHeld
        | EventKind::ClockConfirmed
        | EventKind::ClockReset
        | EventKind::ClockOff
        | EventKind::ClockRight
        | EventKind::FeatureLevelRaised
        | EventKind::SecretRotated
        | EventKind::LicenseVerified
        | EventKind::GossipOpen
        | EventKind::GossipKeysChanged
        | EventKind::NodeDrained
        | EventKind::NodeUndrained
        | EventKind::GatewayRestarted
        | EventKind::DriftGone
        | EventKind::StatisticsWindow
        | EventKind::Other => Mark::Dot,
    }
}

/// True for events that people read; windows of statistics close every minute and would push the rest out.
#[must_use]
pub fn is_shown(event: &Event) -> bool {
    event.kind != EventKind::StatisticsWindow
}

/// Puts `event` in front, once, and keeps at most `limit`.
pub fn push(events: &mut Vec<Event>, event: Event, limit: usize) {
    let key = |e: &Event| (e.index, e.position);
    if events.iter().any(|known| key(known) == key(&event)) {
        return;
    }
    let at = events
        .iter()
        .position(|known| key(known) < key(&event))
        .unwrap_or(events.len());
    events.insert(at, event);
    events.truncate(limit);
}

/// The newest moments for the charts: trouble and publications, at most six.
#[must_use]
pub fn moments(events: &[Event]) -> Vec<Moment> {
    events
        .iter()
        .filter_map(|event| {
            let kind = match event.kind {
                EventKind::NodeUnreachable | EventKind::NodeDown => MomentKind::Trouble,
                EventKind::VersionPublished => MomentKind::Published,
                _ => return None,
            };
            Some(Moment {
                at: clock::parse(&event.time)?,
                kind,
                title: event.message.clone(),
            })
        })
        .take(6)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u64, kind: EventKind) -> Event {
        Event {
            index,
            position: 0,
            time: "2026-11-17T13:32:08Z".to_owned(),
            kind,
            fleet: None,
            subject_id: None,
            subject_name: None,
            version: None,
            message: format!("event {index}"),
        }
    }

    #[test]
    fn an_event_is_listed_once_and_the_newest_is_first() {
        let mut list = vec![
            event(5, EventKind::NodeJoined),
            event(3, EventKind::NodeJoined),
        ];
        push(&mut list, event(5, EventKind::NodeJoined), 10);
        push(&mut list, event(4, EventKind::NodeActive), 10);
        push(&mut list, event(9, EventKind::NodeDown), 3);
        let order: Vec<_> = list.iter().map(|e| e.index).collect();
        assert_eq!(order, [9, 5, 4]);
    }

    #[test]
    fn every_kind_of_the_api_is_listened_to() {
        for name in STREAM_KINDS {
            let json = format!("\"{name}\"");
            let kind: EventKind = serde_json::from_str(&json).expect("every name is a kind");
            assert!(name == "other" || kind != EventKind::Other, "{name}");
        }
    }

    #[test]
    fn charts_mark_trouble_and_publications_only() {
        let list = [
            event(3, EventKind::VersionPublished),
            event(2, EventKind::TokenCreated),
            event(1, EventKind::NodeDown),
        ];
        assert_eq!(moments(&list).len(), 2);
        assert!(!is_shown(&event(1, EventKind::StatisticsWindow)));
    }
}
