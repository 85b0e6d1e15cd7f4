//! The licence as installed, and telling when its state changes.

use super::Transaction;
use crate::{
    Applied, Digest, EventKind, LicenseCheck, LicenseRecord, LicenseStatus, ManagerId, RecordKey,
    Rejected, Topic,
};

/// The level from which on notices are told and managers report what they verified.
const NOTES_LEVEL: u32 = 4;
/// Managers whose checks are kept; a group has few.
const MAX_CHECKS: usize = 64;

impl Transaction<'_> {
    pub(super) fn apply_install_license(
        &mut self,
        record: &LicenseRecord,
    ) -> Result<Applied, Rejected> {
        let mut record = record.clone();
        record.installed_ms = self.now;
        let (by, nodes) = (record.installed_by.clone(), record.claims.max_nodes);
        let subscriber = record.claims.subscriber.clone();
        let claims = Box::new(record.claims.clone());
        self.state.license = Some(record);
        self.changed(RecordKey::License);
        self.event(
            EventKind::LicenseInstalled,
            format!("{by} installed the licence of {subscriber} for {nodes} nodes"),
        );
        self.tell_license_state();
        Ok(Applied::LicenseInstalled {
            claims,
            at_ms: self.state.decision_time(self.now),
            seats_used: self.state.seats_used(self.now),
        })
    }

    pub(super) fn apply_remove_license(&mut self, by: &str) -> Result<Applied, Rejected> {
        if self.state.license.take().is_none() {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::License);
        self.event(
            EventKind::LicenseRemoved,
            format!("{by} removed the licence"),
        );
        self.tell_license_state();
        Ok(Applied::Done)
    }

    pub(super) fn tell_license_state(&mut self) {
        let status = self.state.license_status(self.now);
        let before = self.state.meta.license_state.replace(status.state);
        let changed = before.is_some_and(|before| before != status.state);
        let notice = self.take_notice(status.notice_days);
        if changed {
            self.touch(Topic::License);
            let text = self.license_text(&status);
            self.event(EventKind::LicenseStateChanged, text);
        } else if notice {
            let text = self.license_text(&status);
            self.event(EventKind::LicenseNotice, text);
        }
    }

    /// Whether a further notice has been reached, which then counts as told.
    fn take_notice(&mut self, reached: Option<u32>) -> bool {
        let notes = &mut self.state.license_notes;
        let told = notes.told_days;
        if self.state.meta.feature_level < NOTES_LEVEL || told == reached {
            return false;
        }
        notes.told_days = reached;
        self.changed(RecordKey::LicenseNotes);
        reached.is_some_and(|reached| told.is_none_or(|told| reached < told))
    }

    fn license_text(&self, status: &LicenseStatus) -> String {
        status.text(self.state.license.as_ref().map(|record| &record.claims))
    }

    pub(super) fn apply_report_license(
        &mut self,
        manager_id: ManagerId,
        license: Digest,
        problem: Option<&str>,
    ) -> Result<Applied, Rejected> {
        let managers = &self.state.managers;
        let checks = &mut self.state.license_notes.checks;
        // Those who left have no say.
        let known = checks.iter().filter(|(id, _)| managers.contains_key(*id));
        *checks = known.map(|(id, check)| (*id, check.clone())).collect();
        if checks.len() >= MAX_CHECKS && !checks.contains_key(&manager_id) {
            return Ok(Applied::Unchanged);
        }
        let check = LicenseCheck {
            license,
            at_ms: self.now,
            problem: problem.map(Into::into),
        };
        let before = checks.insert(manager_id, check);
        self.changed(RecordKey::LicenseNotes);
        let before = before.and_then(|check| check.problem);
        let name = match self.state.managers.get(&manager_id) {
            Some(manager) => manager.name.clone(),
            None => manager_id.to_string(),
        };
        match (problem, before) {
            (Some(problem), before) if before.as_deref() != Some(problem) => {
                let text = format!("{name} cannot verify the licence: {problem}");
                self.event(EventKind::LicenseUnverified, text)
                    .about(manager_id, &name);
            }
            (None, Some(_)) => {
                let text = format!("{name} verifies the licence again");
                self.event(EventKind::LicenseVerified, text)
                    .about(manager_id, &name);
            }
            _ => {}
        }
        Ok(Applied::Done)
    }
}
