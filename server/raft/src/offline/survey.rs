use std::path::{Path, PathBuf};

use krakend_domain::{ClusterState, LogEntry};
use krakend_storage::{
    DataDirLock, Identity, LogPosition, LogSettings, LogStore, SnapshotFiles, finish_replacement,
};
use openraft::EntryPayload;
use uuid::Uuid;

use super::{OfflineError, found::Base};
use crate::{
    codec,
    store::read_state,
    types::{ManagerNode, MemberId, StoredMembership},
};

/// Log bytes that are read in one go.
const READ_BYTES: usize = 1024 * 1024;

/// What a data directory holds and what would become of it.
#[derive(Clone, Debug)]
pub struct Survey {
    pub data_dir: PathBuf,
    pub group_id: Uuid,
    pub manager_id: Uuid,
    pub epoch: u64,
    pub generation: u64,
    /// The last entry in the log.
    pub last_index: u64,
    pub last_term: u64,
    /// Up to here this directory knows that a quorum had the entries; `None` when it knows of none.
    pub committed_index: Option<u64>,
    pub members: Vec<SurveyedMember>,
    pub state: ClusterState,
}

/// A manager of the group as this directory knows it.
#[derive(Clone, Debug)]
pub struct SurveyedMember {
    pub id: Uuid,
    pub node: ManagerNode,
    pub voter: bool,
}

impl Survey {
    /// Entries of which this directory does not know whether a quorum had them. They are kept.
    pub fn uncertain(&self) -> u64 {
        self.last_index
            .saturating_sub(self.committed_index.unwrap_or(0))
    }

    /// The other members: they are not in the group any more afterwards.
    pub fn dropped(&self) -> impl Iterator<Item = &SurveyedMember> {
        self.members
            .iter()
            .filter(|member| member.id != self.manager_id)
    }
}

/// A data directory, taken and read.
pub(super) struct Surveyed {
    pub survey: Survey,
    pub base: Base,
    pub node: ManagerNode,
    pub _lock: DataDirLock,
}

/// Looks at a data directory that no manager uses. Changes nothing but what any start changes: an interrupted
/// replacement is finished, and a record that was being written when the power went is cut from the log's end.
pub async fn survey(data_dir: &Path) -> Result<Survey, OfflineError> {
    Ok(take(data_dir).await?.survey)
}

pub(super) async fn take(data_dir: &Path) -> Result<Surveyed, OfflineError> {
    let dir = || data_dir.to_path_buf();
    if !data_dir.is_dir() {
        return Err(OfflineError::NoDirectory { dir: dir() });
    }
    let no_group = || OfflineError::NoGroup { dir: dir() };
    let lock = DataDirLock::take(data_dir)?;
    finish_replacement(data_dir)?;
    let identity = Identity::load(data_dir)?.ok_or_else(no_group)?;
    let group_id = identity.group_id.ok_or_else(no_group)?;
    let log = LogStore::open(&data_dir.join("log"), LogSettings::default())?;
    let replayed = replay(data_dir, &log).await;
    let summary = log.summary().await;
    log.close().await;
    let (replayed, summary) = (replayed?, summary?);
    let position = replayed.position.ok_or_else(no_group)?;
    if replayed.state.meta().group_id.is_none() {
        return Err(no_group());
    }
    let meta = replayed.state.meta();
    let members = members(&replayed.membership);
    let known = members.iter().find(|it| it.id == identity.manager_id);
    let node = known.map(|it| it.node.clone()).unwrap_or_default();
    let committed = summary.committed.max(replayed.snapshot);
    let survey = Survey {
        data_dir: dir(),
        group_id,
        manager_id: identity.manager_id,
        epoch: meta.epoch,
        generation: meta.generation,
        last_index: position.index,
        last_term: position.term,
        committed_index: committed.map(|it| it.index),
        members,
        state: replayed.state.clone(),
    };
    Ok(Surveyed {
        survey,
        base: Base {
            state: replayed.state,
            position,
            voted_term: summary.vote.map_or(0, |vote| vote.term),
        },
        node,
        _lock: lock,
    })
}

struct Replayed {
    state: ClusterState,
    membership: StoredMembership,
    position: Option<LogPosition>,
    snapshot: Option<LogPosition>,
}

/// The newest snapshot and every entry of the log behind it, whether known committed or not: an entry that a quorum
/// acknowledged must not be dropped because this directory had not heard of it yet. The records beside them are left
/// alone, because they can only be older.
async fn replay(data_dir: &Path, log: &LogStore) -> Result<Replayed, OfflineError> {
    let summary = log.summary().await?;
    let mut replayed = newest_snapshot(data_dir)?;
    let reached = replayed.position.map_or(0, |it| it.index + 1);
    if summary.purged > replayed.position {
        let purged = summary.purged.map_or(0, |it| it.index);
        return Err(OfflineError::Incomplete {
            dir: data_dir.into(),
            reason: format!(
                "its log begins behind entry {purged}, but its newest snapshot ends before it"
            ),
        });
    }
    let end = summary.last.map_or(0, |it| it.index + 1);
    let mut next = reached;
    while next < end {
        let records = log.read(next, end, READ_BYTES).await?;
        if records.first().is_none_or(|it| it.position.index != next) {
            return Err(OfflineError::Incomplete {
                dir: data_dir.into(),
                reason: format!("log entry {next} is missing"),
            });
        }
        for record in records {
            next = record.position.index + 1;
            let apply = apply(&mut replayed, &record);
            apply.map_err(|error| OfflineError::Entry {
                dir: data_dir.into(),
                index: record.position.index,
                reason: error.to_string(),
            })?;
        }
    }
    Ok(replayed)
}

fn newest_snapshot(data_dir: &Path) -> Result<Replayed, OfflineError> {
    let files = SnapshotFiles::open(&data_dir.join("snapshots"))?;
    let Some(file) = files.newest()? else {
        return Ok(Replayed {
            state: ClusterState::default(),
            membership: StoredMembership::default(),
            position: None,
            snapshot: None,
        });
    };
    let (meta, state) = read_state(&file).map_err(|error| OfflineError::Incomplete {
        dir: data_dir.into(),
        reason: error.to_string(),
    })?;
    let position = meta.last_log_id.as_ref().map(codec::position);
    Ok(Replayed {
        state,
        membership: meta.last_membership,
        position,
        snapshot: position,
    })
}

fn apply(replayed: &mut Replayed, record: &krakend_storage::LogRecord) -> std::io::Result<()> {
    let entry = codec::record_to_entry(record)?;
    match entry.payload {
        EntryPayload::Normal(payload) => {
            let command: LogEntry = codec::decode(&payload.0)?;
            // What it answered went out long ago.
            drop(replayed.state.apply(entry.log_id.index, &command));
        }
        EntryPayload::Membership(membership) => {
            replayed.membership = StoredMembership::new(Some(entry.log_id), membership);
        }
        EntryPayload::Blank => {}
    }
    replayed.position = Some(record.position);
    Ok(())
}

fn members(membership: &StoredMembership) -> Vec<SurveyedMember> {
    let voters: Vec<MemberId> = membership.membership().voter_ids().collect();
    let member = |(id, member): (&MemberId, &crate::types::Member)| SurveyedMember {
        id: id.0,
        node: member.node.clone(),
        voter: voters.contains(id),
    };
    let mut members: Vec<_> = membership.membership().nodes().map(member).collect();
    members.sort_by(|a, b| a.node.name.cmp(&b.node.name));
    members
}
