//! What lies in the data directory, opened and verified, and what happens to what is damaged:
//!
//! - applied state: deleted, and rebuilt from the newest whole snapshot and the log;
//! - a snapshot: set aside under another name;
//! - log or vote: everything is set aside, and this manager comes back under a new id, because it must not vote with
//!   what it has forgotten.

use std::{path::Path, sync::Arc};

use krakend_storage::{
    DataDirLock, Grant, GrantMember, Identity, LogError, LogOwner, LogPosition, LogSettings,
    SnapshotFiles, StateError, SyncFault, finish_replacement, set_aside,
};

use super::{GroupConfig, check, known};
use crate::{
    codec,
    error::OpenError,
    store::{LogStore, Shared, WriteBehind},
};

/// Everything that depends on the log; in this order, because a member whose log is gone is damaged as well, should
/// this stop half-way.
const SET_ASIDE: [&str; 3] = ["log", "state", "snapshots"];

/// What a manager rebuilds whose state is not what the others have.
const STATE: [&str; 2] = ["state", "snapshots"];

/// What lies on disk, opened and verified.
pub(crate) struct Opened {
    pub lock: Option<DataDirLock>,
    pub identity: Identity,
    pub log: LogStore,
    pub files: SnapshotFiles,
    pub shared: Arc<Shared>,
    pub behind: Arc<WriteBehind>,
    /// Who else is in the group, as `host:port`.
    pub others: Vec<String>,
    /// The last entry that snapshot or applied state contain.
    pub have: Option<LogPosition>,
}

/// Blocks while it reads everything.
pub(super) fn open(config: &GroupConfig) -> Result<Opened, OpenError> {
    let dir = &config.data_dir;
    let lock = DataDirLock::take(dir)?;
    finish_replacement(dir).map_err(StateError::from)?;
    let mut identity = Identity::load_or_create(dir)?;
    let known = known::read(dir);
    let own = &config.manager.raft_address;
    let others = known::others(&config.peers, &known, identity.manager_id, own);
    let log = match open_log(dir, &identity, &config.sync_fault) {
        Ok(log) => log,
        Err(OpenError::Log(damage)) if damage.is_damage() => {
            identity = begin_anew(dir, identity, &others, damage)?;
            open_log(dir, &identity, &config.sync_fault)?
        }
        Err(error) => return Err(error),
    };
    identity.save_copy(dir)?;
    if check::is_marked(dir) {
        let reason = "the state differed from the majority's";
        let aside = set_aside(dir, &STATE, reason)?;
        tracing::error!(
            "{reason}: it was set aside in {}, and is rebuilt from log and snapshots of the others",
            aside.display()
        );
        check::unmark(dir)?;
    }
    let files = SnapshotFiles::open(&dir.join("snapshots"))?;
    let snapshot = files.newest_verified(drop)?.map(|it| it.position);
    let (store, current) = WriteBehind::load(&dir.join("state"))?;
    let applied = current.last_applied.as_ref().map(codec::position);
    let shared = Shared::new(current);
    let behind = WriteBehind::start(store, shared.clone())?;
    Ok(Opened {
        lock: Some(lock),
        identity,
        log,
        files,
        shared,
        behind,
        others,
        have: applied.max(snapshot),
    })
}

fn open_log(
    dir: &Path,
    identity: &Identity,
    fault: &Option<SyncFault>,
) -> Result<LogStore, OpenError> {
    let log = dir.join("log");
    let damaged = |reason: String| LogError::Damaged {
        file: log.clone(),
        offset: 0,
        reason,
    };
    match identity.log_owner(dir)? {
        LogOwner::Ours => {}
        LogOwner::Foreign(owner) => {
            return Err(damaged(format!(
                "it belongs to manager {owner}, this is manager {}",
                identity.manager_id
            ))
            .into());
        }
        LogOwner::Missing => {
            return Err(
                damaged("this manager belongs to a group, and its log is gone".into()).into(),
            );
        }
    }
    let settings = LogSettings {
        fault: fault.clone(),
        ..LogSettings::default()
    };
    Ok(LogStore::open(&log, settings)?)
}

/// Sets everything aside. A member gets a new id with which it will ask for its old place; who never belonged to a
/// group keeps its id.
fn begin_anew(
    dir: &Path,
    old: Identity,
    others: &[String],
    damage: LogError,
) -> Result<Identity, OpenError> {
    let Some(group_id) = old.group_id else {
        let aside = set_aside(dir, &SET_ASIDE, &damage.to_string())?;
        tracing::error!(%damage, "a log that is not this manager's was set aside in {}", aside.display());
        return Ok(old);
    };
    if others.is_empty() {
        return Err(OpenError::DamagedAlone(damage));
    }
    let aside = set_aside(dir, &SET_ASIDE, &damage.to_string())?;
    let mut identity = Identity::fresh();
    // Given to the group beforehand: its leader speaks to us before we know that we were let in.
    identity.grant = Some(Grant {
        group_id,
        initiator: identity.manager_id,
        round: 0,
        members: Vec::new(),
    });
    identity.replaces = old.replaces;
    identity.replaces.push(GrantMember {
        manager_id: old.manager_id,
        store_id: old.store_id,
    });
    identity.save(dir)?;
    tracing::error!(
        %damage,
        old = %old.manager_id,
        new = %identity.manager_id,
        "log, state and snapshots were set aside in {}; this manager does not vote with them and asks the group for its old place under a new id",
        aside.display()
    );
    Ok(identity)
}
