//! The licence as installed, and telling when its state changes.

use super::Transaction;
use crate::{Applied, EventKind, LicenseRecord, LicenseState, RecordKey, Rejected, Topic};

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
        let state = self.state.license_status(self.now).state;
        let before = self.state.meta.license_state.replace(state);
        if before.is_none_or(|before| before == state) {
            return;
        }
        self.touch(Topic::License);
        let word = match state {
            LicenseState::Valid => "valid",
            LicenseState::Expiring => "expiring",
            LicenseState::Grace => "expired: in grace",
            LicenseState::Free => "free: the built-in limits hold",
        };
        self.event(EventKind::LicenseStateChanged, format!("licence {word}"));
    }
}
