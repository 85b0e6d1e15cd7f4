//! The state as records, for the store behind it and for snapshots.

use std::sync::Arc;

use super::ClusterState;
use crate::record::{decode, encode};
use crate::series::WINDOW_OVERHEAD_BYTES;
use crate::{
    AuditAnchor, BackupStatus, Keyring, LicenseNotes, Packed, RecordError, RecordKey, SecretRecord,
    SeriesMeta, WindowKey,
};

impl ClusterState {
    /// The record's bytes, or `None` when it is gone.
    pub fn encode_record(&self, key: &RecordKey) -> Option<Vec<u8>> {
        match key {
            RecordKey::Meta => Some(encode(&self.meta)),
            RecordKey::Manager(id) => self.managers.get(id).map(encode),
            RecordKey::Node(id) => self.nodes.get(id).map(encode),
            RecordKey::Recent(id) => self.recent.get(id).map(encode),
            RecordKey::Fleet(name) => self.fleets.get(name).map(encode),
            RecordKey::Version(fleet, number) => self
                .version(fleet, *number)
                .map(|version| encode(version.as_ref())),
            RecordKey::License => self.license.as_ref().map(encode),
            RecordKey::Token(id) => self.tokens.get(id).map(encode),
            RecordKey::JoinToken(id) => self.join_tokens.get(id).map(encode),
            RecordKey::Window(key) => self.windows.get(key).map(|window| encode(window.as_ref())),
            RecordKey::Event(index, position) => {
                let event = self.events.get(&(*index, *position));
                event.map(|event| encode(event.as_ref()))
            }
            RecordKey::Idempotency(key) => {
                let record = self.idempotency.get(key.as_str());
                record.map(|record| encode(record.as_ref()))
            }
            RecordKey::IdempotencyAge(at, index) => {
                self.idempotency_age.get(&(*at, *index)).map(encode)
            }
            RecordKey::Lineage => (!self.lineage.is_empty()).then(|| encode(&self.lineage)),
            RecordKey::Backup => {
                (self.backup != BackupStatus::default()).then(|| encode(&self.backup))
            }
            RecordKey::Clock => Some(encode(&self.clock)),
            RecordKey::Changes => Some(encode(&self.changes)),
            RecordKey::StagedBody(upload) => self.staged.get(upload).map(encode),
            RecordKey::StagedChunk(upload, part) => {
                self.staged_chunks.get(&(*upload, *part)).map(encode)
            }
            // None before the first word: an older version would not know the record.
            RecordKey::Secret => {
                (self.secret != SecretRecord::default()).then(|| encode(&self.secret))
            }
            RecordKey::Certificate(id) => self.certificates.get(id).map(encode),
            // None before level 4, for the same reason.
            RecordKey::LicenseNotes => {
                (self.license_notes != LicenseNotes::default()).then(|| encode(&self.license_notes))
            }
            RecordKey::NodeNote(id) => self.notes.get(id).map(encode),
            RecordKey::Keyring => {
                (self.keyring != Keyring::default()).then(|| encode(&self.keyring))
            }
            RecordKey::KeyringHeld(id) => self.keyring_held.get(id).map(encode),
            RecordKey::Series(key) => self.series.get(key).map(|it| encode(&it.0)),
            RecordKey::MetricsAddress(id) => self.metrics_addresses.get(id).map(encode),
            RecordKey::SeriesMeta => {
                (self.series_meta != SeriesMeta::default()).then(|| encode(&self.series_meta))
            }
            RecordKey::Audit(index) => self.audit.get(index).map(|it| encode(it.as_ref())),
            RecordKey::AuditAnchor => {
                (self.audit_anchor != AuditAnchor::default()).then(|| encode(&self.audit_anchor))
            }
            RecordKey::TokenScope(id) => self.token_scopes.get(id).map(encode),
            RecordKey::Drain(id) => self.drains.get(id).map(encode),
            RecordKey::Drift(id) => self.drifts.get(id).map(encode),
            RecordKey::RemovedManagers => {
                (!self.removed_managers.is_empty()).then(|| encode(&self.removed_managers))
            }
        }
    }

    fn keys(&self) -> impl Iterator<Item = RecordKey> + '_ {
        let window = |key: &WindowKey| RecordKey::Window(key.clone());
        std::iter::once(RecordKey::Meta)
            .chain(self.managers.keys().copied().map(RecordKey::Manager))
            .chain(self.nodes.keys().copied().map(RecordKey::Node))
            .chain(self.recent.keys().copied().map(RecordKey::Recent))
            .chain(self.fleets.keys().cloned().map(RecordKey::Fleet))
            .chain(self.versions.iter().flat_map(|(fleet, versions)| {
                let numbers = versions.keys().copied();
                numbers.map(|number| RecordKey::Version(fleet.clone(), number))
            }))
            .chain(self.license.iter().map(|_| RecordKey::License))
            .chain(self.tokens.keys().copied().map(RecordKey::Token))
            .chain(self.join_tokens.keys().copied().map(RecordKey::JoinToken))
            .chain(self.windows.keys().map(window))
            .chain(self.events.keys().map(|(i, p)| RecordKey::Event(*i, *p)))
            .chain(
                self.idempotency
                    .keys()
                    .map(|key| RecordKey::Idempotency(key.to_string())),
            )
            .chain(
                self.idempotency_age
                    .keys()
                    .map(|(at, index)| RecordKey::IdempotencyAge(*at, *index)),
            )
            .chain([
                RecordKey::Lineage,
                RecordKey::Backup,
                RecordKey::Clock,
                RecordKey::Changes,
            ])
            .chain(self.staged.keys().copied().map(RecordKey::StagedBody))
            .chain(
                self.staged_chunks
                    .keys()
                    .map(|(upload, part)| RecordKey::StagedChunk(*upload, *part)),
            )
            .chain([RecordKey::Secret])
            .chain(
                self.certificates
                    .keys()
                    .copied()
                    .map(RecordKey::Certificate),
            )
            .chain([RecordKey::LicenseNotes])
            .chain(self.notes.keys().copied().map(RecordKey::NodeNote))
            .chain([RecordKey::Keyring])
            .chain(
                self.keyring_held
                    .keys()
                    .copied()
                    .map(RecordKey::KeyringHeld),
            )
            .chain(self.series.keys().cloned().map(RecordKey::Series))
            .chain([RecordKey::SeriesMeta])
            .chain(
                self.metrics_addresses
                    .keys()
                    .copied()
                    .map(RecordKey::MetricsAddress),
            )
            .chain(self.audit.keys().copied().map(RecordKey::Audit))
            .chain([RecordKey::AuditAnchor])
            .chain(self.token_scopes.keys().copied().map(RecordKey::TokenScope))
            .chain(self.drains.keys().copied().map(RecordKey::Drain))
            .chain(self.drifts.keys().copied().map(RecordKey::Drift))
            .chain([RecordKey::RemovedManagers])
    }

    /// Every record, grouped by kind, keys in order within it: two equal states give equal bytes.
    pub fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
        self.keys().filter_map(|key| {
            let value = self.encode_record(&key)?;
            Some((key.to_bytes(), value))
        })
    }

    /// The state that these records hold.
    pub fn from_records(
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, RecordError> {
        let mut state = Self::default();
        for (key, value) in records {
            state.load(RecordKey::from_bytes(&key)?, &value)?;
        }
        Ok(state)
    }

    fn load(&mut self, key: RecordKey, value: &[u8]) -> Result<(), RecordError> {
        match &key {
            RecordKey::Meta => self.meta = decode(&key, value)?,
            RecordKey::Manager(id) => {
                self.managers.insert(*id, decode(&key, value)?);
            }
            RecordKey::Node(_) => self.nodes.insert(decode(&key, value)?),
            RecordKey::Recent(id) => {
                self.recent.insert(*id, decode(&key, value)?);
            }
            RecordKey::Fleet(name) => {
                self.fleets.insert(name.clone(), decode(&key, value)?);
            }
            RecordKey::Version(fleet, number) => {
                let version = Arc::new(decode(&key, value)?);
                self.add_version(fleet, *number, version);
            }
            RecordKey::License => self.license = Some(decode(&key, value)?),
            RecordKey::Token(id) => {
                self.tokens.insert(*id, decode(&key, value)?);
            }
            RecordKey::JoinToken(id) => {
                self.join_tokens.insert(*id, decode(&key, value)?);
            }
            RecordKey::Window(window) => {
                let value = Arc::new(decode(&key, value)?);
                self.windows.insert(window.clone(), value);
            }
            RecordKey::Event(index, position) => {
                let event = Arc::new(decode(&key, value)?);
                self.events.insert((*index, *position), event);
            }
            RecordKey::Idempotency(name) => {
                let record = Arc::new(decode(&key, value)?);
                self.idempotency.insert(name.as_str().into(), record);
            }
            RecordKey::IdempotencyAge(at, index) => {
                self.idempotency_age
                    .insert((*at, *index), decode(&key, value)?);
            }
            RecordKey::Lineage => self.lineage = decode(&key, value)?,
            RecordKey::Backup => self.backup = decode(&key, value)?,
            RecordKey::Clock => self.clock = decode(&key, value)?,
            RecordKey::Changes => self.changes = decode(&key, value)?,
            RecordKey::StagedBody(upload) => {
                self.staged.insert(*upload, decode(&key, value)?);
            }
            RecordKey::StagedChunk(upload, part) => {
                self.staged_chunks
                    .insert((*upload, *part), decode(&key, value)?);
            }
            RecordKey::Secret => self.secret = decode(&key, value)?,
            RecordKey::Certificate(id) => {
                self.certificates.insert(*id, decode(&key, value)?);
            }
            RecordKey::LicenseNotes => self.license_notes = decode(&key, value)?,
            RecordKey::NodeNote(id) => {
                self.notes.insert(*id, decode(&key, value)?);
            }
            RecordKey::Keyring => self.keyring = decode(&key, value)?,
            RecordKey::KeyringHeld(id) => {
                self.keyring_held.insert(*id, decode(&key, value)?);
            }
            RecordKey::Series(series) => {
                let window = Packed(decode(&key, value)?);
                self.series_bytes += window.len() + WINDOW_OVERHEAD_BYTES;
                self.series.insert(series.clone(), window);
            }
            RecordKey::SeriesMeta => self.series_meta = decode(&key, value)?,
            RecordKey::MetricsAddress(id) => {
                self.metrics_addresses.insert(*id, decode(&key, value)?);
            }
            RecordKey::Audit(index) => {
                self.audit.insert(*index, Arc::new(decode(&key, value)?));
            }
            RecordKey::AuditAnchor => self.audit_anchor = decode(&key, value)?,
            RecordKey::TokenScope(id) => {
                self.token_scopes.insert(*id, decode(&key, value)?);
            }
            RecordKey::Drain(id) => {
                self.drains.insert(*id, decode(&key, value)?);
            }
            RecordKey::Drift(id) => {
                self.drifts.insert(*id, decode(&key, value)?);
            }
            RecordKey::RemovedManagers => self.removed_managers = decode(&key, value)?,
        }
        Ok(())
    }
}
