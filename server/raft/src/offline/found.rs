use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use krakend_domain::{ClusterState, Command, EpochCause, LogEntry, NewEpoch};
use krakend_storage::{Identity, LogPosition, LogSettings, LogStore, Replacement, SnapshotFiles};
use openraft::vote::RaftVote;
use uuid::Uuid;

use super::OfflineError;
use crate::{
    codec,
    types::{ManagerNode, Member, MemberId, SnapshotMeta, StoredMembership, Vote},
};

/// Terms that are left out. Gossip's hints are ordered by term: the new group's leader must outrank any that the old
/// group elected after the state at hand, or nodes would be pointed at managers that are gone.
const SKIPPED_TERMS: u64 = 1_000;

/// A group of one that stands in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    pub group_id: Uuid,
    pub former_group_id: Uuid,
    pub epoch: u64,
    pub index: u64,
    pub manager_id: Uuid,
    /// Where the directory's former content is kept.
    pub archive: Option<PathBuf>,
}

/// The state that goes on, and where it stood.
pub(super) struct Base {
    pub state: ClusterState,
    pub position: LogPosition,
    /// The highest term that this directory voted in; 0 where there is none.
    pub voted_term: u64,
}

/// Who goes on with it, and why.
pub(super) struct Heir {
    pub manager_id: Uuid,
    pub node: ManagerNode,
    pub cause: EpochCause,
    /// The new epoch, where it must be higher than the next.
    pub epoch: Option<u64>,
    pub message: String,
    pub now_ms: u64,
}

/// Makes `data_dir` the directory of a group of one that goes on with `base`. The caller holds the directory's lock.
/// All or nothing, also in a crash.
pub(super) async fn found(
    data_dir: &Path,
    mut base: Base,
    heir: Heir,
) -> Result<Founded, OfflineError> {
    let group_id = Uuid::new_v4();
    let index = base.position.index + 1;
    let term = base.voted_term.max(base.position.term) + SKIPPED_TERMS;
    let former_group_id = base.state.meta().group_id.unwrap_or_default();
    let entry = LogEntry {
        time_ms: heir.now_ms,
        command: Command::BeginEpoch(NewEpoch {
            group_id,
            epoch: heir.epoch.unwrap_or(base.state.meta().epoch + 1),
            cause: heir.cause,
            manager_id: heir.manager_id,
            message: heir.message,
        }),
    };
    base.state.apply(index, &entry).result?;
    let identity = Identity {
        manager_id: heir.manager_id,
        group_id: Some(group_id),
        ..Identity::fresh()
    };
    let member = Member {
        node: heir.node,
        store_id: identity.store_id,
    };
    let replacement = Replacement::begin(data_dir, &group_id.simple().to_string())?;
    let position = LogPosition { term, index };
    let dir = replacement.path();
    write_snapshot(&dir, position, &base.state, (heir.manager_id, member))?;
    write_log(&dir, position, heir.manager_id).await?;
    identity.save(&dir)?;
    Ok(Founded {
        group_id,
        former_group_id,
        epoch: base.state.meta().epoch,
        index,
        manager_id: heir.manager_id,
        archive: replacement.commit()?,
    })
}

fn write_snapshot(
    dir: &Path,
    position: LogPosition,
    state: &ClusterState,
    (id, member): (Uuid, Member),
) -> Result<(), OfflineError> {
    let id = MemberId(id);
    let membership =
        openraft::Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, member)]))
            .map_err(io::Error::other)?;
    let log_id = codec::log_id(position);
    let meta = SnapshotMeta {
        last_log_id: Some(log_id),
        last_membership: StoredMembership::new(Some(log_id), membership),
    };
    let files = SnapshotFiles::open(&dir.join("snapshots"))?;
    files.write(position, &codec::encode(&meta)?, state.records())?;
    Ok(())
}

/// An empty log that goes on behind the snapshot, and a vote: without one the first election would be held in term 1,
/// below that of the snapshot.
async fn write_log(dir: &Path, position: LogPosition, id: Uuid) -> Result<(), OfflineError> {
    let log = LogStore::open(&dir.join("log"), LogSettings::default())?;
    let leader = openraft::vote::RaftLeaderId::new(position.term, MemberId(id));
    let vote = Vote::from_leader_id(leader, false);
    let written = async {
        log.save_vote(codec::vote_to_record(&vote)?).await?;
        log.purge(position).await?;
        Ok(())
    };
    let written: Result<(), OfflineError> = written.await;
    log.close().await;
    written
}
