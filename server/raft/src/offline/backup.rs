use std::{collections::BTreeMap, io::Write, path::Path};

use krakend_domain::{ClusterState, RecordKey};
use krakend_storage::{BackupReader, BackupWriter, WrittenBackup};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::OfflineError;
use crate::store::Current;

/// Where a backup comes from. Stored as JSON, so that any tool can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMeta {
    pub group_id: Uuid,
    pub epoch: u64,
    pub generation: u64,
    /// The last log entry in it.
    pub index: u64,
    pub term: u64,
    /// UTC milliseconds of that entry: the same index gives the same file, whoever writes it and when.
    pub time_ms: u64,
    /// Version of the program that wrote it.
    pub version: String,
    /// Names of the managers, for people.
    pub managers: Vec<String>,
}

/// A state that no longer moves, and where it stands. Shares structure with the living one, so holding it costs what
/// changes meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Frozen {
    current: Current,
}

impl Frozen {
    pub(crate) fn new(current: Current) -> Self {
        Self { current }
    }

    /// `None` while nothing is applied or the group has not begun: there is nothing to back up.
    pub fn meta(&self) -> Option<BackupMeta> {
        let state = &self.current.state;
        let position = self.current.last_applied?;
        let members = self.current.membership.membership().nodes();
        Some(BackupMeta {
            group_id: state.meta().group_id?,
            epoch: state.meta().epoch,
            generation: state.meta().generation,
            index: position.index,
            term: position.leader_id.term,
            time_ms: state.meta().time_ms,
            version: env!("CARGO_PKG_VERSION").into(),
            managers: members
                .map(|(_, member)| member.node.name.clone())
                .collect(),
        })
    }

    /// Writes the backup, record by record. Blocks; `out` sets the pace.
    pub fn write<W: Write>(
        &self,
        out: W,
        meta: &BackupMeta,
    ) -> std::io::Result<(W, WrittenBackup)> {
        let meta = serde_json::to_vec(meta).map_err(std::io::Error::other)?;
        let mut writer = BackupWriter::begin(out, &meta)?;
        for (key, value) in self.current.state.records() {
            writer.push(&key, &value)?;
        }
        writer.finish()
    }
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSize {
    pub count: u64,
    /// Keys and values before compression.
    pub bytes: u64,
}

/// A backup, read and verified completely.
#[derive(Clone, Debug)]
pub struct BackupContents {
    pub meta: BackupMeta,
    /// Length and SHA-256 of the file.
    pub bytes: u64,
    pub sha256: [u8; 32],
    /// By kind, in the order of their names.
    pub kinds: BTreeMap<&'static str, KindSize>,
    pub state: ClusterState,
}

/// Verifies a backup's digest and structure without keeping its records: where it comes from, its length and SHA-256.
pub fn verify_backup(file: &Path) -> Result<(BackupMeta, WrittenBackup), OfflineError> {
    let mut reader = BackupReader::open(file)?;
    let meta = meta_of(&reader, file)?;
    for record in &mut reader {
        record?;
    }
    let (bytes, sha256) = (reader.bytes(), reader.sha256());
    Ok((meta, WrittenBackup { bytes, sha256 }))
}

fn meta_of(reader: &BackupReader, file: &Path) -> Result<BackupMeta, OfflineError> {
    serde_json::from_slice(reader.meta()).map_err(|error| OfflineError::BackupContent {
        file: file.into(),
        reason: format!("its head cannot be read: {error}"),
    })
}

/// Reads a backup and verifies all of it: digest, every record, and that head and state speak of the same group.
pub fn read_backup(file: &Path) -> Result<BackupContents, OfflineError> {
    let wrong = |reason: String| OfflineError::BackupContent {
        file: file.into(),
        reason,
    };
    let mut reader = BackupReader::open(file)?;
    let meta = meta_of(&reader, file)?;
    let mut kinds: BTreeMap<&'static str, KindSize> = BTreeMap::new();
    let mut failure: Option<OfflineError> = None;
    let records = std::iter::from_fn(|| {
        let record = reader.next()?.map_err(OfflineError::from);
        let counted = record.and_then(|(key, value)| {
            let size = kinds
                .entry(kind(&RecordKey::from_bytes(&key)?))
                .or_default();
            size.count += 1;
            size.bytes += (key.len() + value.len()) as u64;
            Ok((key, value))
        });
        counted.map_err(|error| failure = Some(error)).ok()
    });
    let state = ClusterState::from_records(records);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let state = state?;
    let found = state.meta();
    if found.group_id != Some(meta.group_id) || found.epoch != meta.epoch {
        return Err(wrong(format!(
            "its head says group {}, epoch {}, its state says {:?}, epoch {}",
            meta.group_id, meta.epoch, found.group_id, found.epoch
        )));
    }
    Ok(BackupContents {
        meta,
        bytes: reader.bytes(),
        sha256: reader.sha256(),
        kinds,
        state,
    })
}

/// What operators call the records of a kind.
fn kind(key: &RecordKey) -> &'static str {
    match key {
        RecordKey::Meta
        | RecordKey::Lineage
        | RecordKey::Backup
        | RecordKey::Clock
        | RecordKey::Secret
        | RecordKey::Keyring
        | RecordKey::LicenseNotes
        | RecordKey::NodeNote(_)
        | RecordKey::KeyringHeld(_)
        | RecordKey::Changes => "group",
        RecordKey::Manager(_) | RecordKey::RemovedManagers => "managers",
        RecordKey::Node(_) => "nodes",
        RecordKey::MetricsAddress(_) | RecordKey::Drain(_) | RecordKey::Drift(_) => {
            "what is told of nodes"
        }
        RecordKey::Certificate(_) => "certificates",
        RecordKey::Fleet(_) => "fleets",
        RecordKey::Version(..) => "versions",
        RecordKey::StagedBody(_) | RecordKey::StagedChunk(..) => "unpublished documents",
        RecordKey::License => "licences",
        RecordKey::Token(_) => "tokens",
        RecordKey::TokenScope(_) => "bounds of tokens",
        RecordKey::Audit(_) | RecordKey::AuditAnchor => "audit trail",
        RecordKey::JoinToken(_) => "join tokens",
        RecordKey::Recent(_)
        | RecordKey::Window(_)
        | RecordKey::Series(_)
        | RecordKey::SeriesMeta => "statistics",
        RecordKey::Event(..) => "events",
        RecordKey::Idempotency(_) | RecordKey::IdempotencyAge(..) => "idempotency keys",
    }
}
