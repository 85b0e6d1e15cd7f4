//! How scheduled backups go.

use super::Transaction;
use crate::{
    Applied, BackupReport, EventKind, FailedBackup, ManagerId, RecordKey, Rejected, SavedBackup,
};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 500;

impl Transaction<'_> {
    pub(super) fn apply_report_backup(
        &mut self,
        report: &BackupReport,
    ) -> Result<Applied, Rejected> {
        self.changed(RecordKey::Backup);
        match report {
            BackupReport::Saved {
                manager_id,
                file,
                index,
                bytes,
            } => {
                self.state.backup.last = Some(SavedBackup {
                    manager_id: *manager_id,
                    file: file.clone(),
                    index: *index,
                    bytes: *bytes,
                    at_ms: self.now,
                });
                // An event for each would push everything else out.
                if self.state.backup.failing.take().is_some() {
                    self.backup_event(
                        EventKind::BackupSaved,
                        *manager_id,
                        "backups are written again",
                    );
                }
            }
            BackupReport::Failed { manager_id, reason } => {
                let reason: String = reason.chars().take(MAX_REASON).collect();
                let since_ms = self.state.backup.failing.as_ref().map(|it| it.since_ms);
                if since_ms.is_none() {
                    let text = format!("no backup was written: {reason}");
                    self.backup_event(EventKind::BackupFailed, *manager_id, &text);
                }
                self.state.backup.failing = Some(FailedBackup {
                    manager_id: *manager_id,
                    reason,
                    since_ms: since_ms.unwrap_or(self.now),
                    last_ms: self.now,
                });
            }
        }
        Ok(Applied::Done)
    }

    fn backup_event(&mut self, kind: EventKind, manager_id: ManagerId, text: &str) {
        let name = match self.state.managers.get(&manager_id) {
            Some(manager) => manager.name.clone(),
            None => manager_id.to_string(),
        };
        self.event(kind, format!("{name}: {text}"))
            .about(manager_id, &name);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::{BackupReport, ClusterState, Command, EventKind, LogEntry};

    fn report(state: &mut ClusterState, at: u64, report: BackupReport) {
        // A group that has not begun takes no reports.
        state.meta.group_id = Some(Uuid::from_u128(1));
        let entry = LogEntry {
            time_ms: at,
            command: Command::ReportBackup(report),
        };
        state.apply(at, &entry).result.unwrap();
    }

    fn failed(reason: &str) -> BackupReport {
        BackupReport::Failed {
            manager_id: Uuid::from_u128(3),
            reason: reason.into(),
        }
    }

    fn saved(index: u64) -> BackupReport {
        BackupReport::Saved {
            manager_id: Uuid::from_u128(3),
            file: format!("{index}.backup"),
            index,
            bytes: 10,
        }
    }

    #[test]
    fn only_the_first_failure_and_the_first_success_after_it_are_told() {
        let mut state = ClusterState::default();
        report(&mut state, 10, saved(9));
        report(&mut state, 20, failed("no room"));
        report(&mut state, 30, failed(&"x".repeat(5_000)));
        let failing = state.backup().failing.clone().unwrap();
        assert_eq!((failing.since_ms, failing.last_ms), (20, 30));
        assert_eq!(failing.reason.len(), super::MAX_REASON);
        report(&mut state, 40, saved(39));
        report(&mut state, 50, saved(49));
        assert_eq!(state.backup().failing, None);
        assert_eq!(state.backup().last.as_ref().unwrap().at_ms, 50);
        let kinds: Vec<_> = state.events().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::BackupSaved, EventKind::BackupFailed]);
        let read = ClusterState::from_records(state.records()).unwrap();
        assert_eq!(read.backup(), state.backup());
    }
}
