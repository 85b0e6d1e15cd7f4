//! What is wrong with this manager, as its part of the group says it.

use krakend_api as api;
use krakend_raft::AlarmKind;

use crate::{app::App, clock};

/// The alarms that the answering manager raises about itself.
pub fn of_manager(app: &App) -> Vec<api::Alarm> {
    let alarms = app.group.alarms().into_iter();
    alarms
        .map(|alarm| api::Alarm {
            kind: alarm.kind.as_str().into(),
            message: alarm.message,
            since: clock::rfc3339(alarm.since_ms),
        })
        .collect()
}

/// Why this manager must not be asked at the moment, if so.
pub fn not_ready(app: &App) -> Option<String> {
    let mut alarms = app.group.alarms().into_iter();
    alarms
        .find(|alarm| {
            matches!(
                alarm.kind,
                AlarmKind::TakingOldPlace | AlarmKind::StateDiverged
            )
        })
        .map(|alarm| alarm.message)
}
