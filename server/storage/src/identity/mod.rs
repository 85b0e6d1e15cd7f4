//! Who a data directory belongs to: a readable file with a checksum, and a second copy inside the log's directory,
//! which also tells whose log that is.

mod copy;
mod file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FileError, write_atomic};

const FILE: &str = "identity.json";
/// Format 1 had no checksum; it is read, and written anew at once.
const FORMAT: u32 = 2;

/// Who a data directory belongs to. Made at the first start and kept for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Format of this file.
    pub format: u32,
    /// The manager's id, independent of its address.
    pub manager_id: Uuid,
    /// Tells this disk from a wiped one that carries the same manager id.
    pub store_id: Uuid,
    /// The group this manager belongs to. Never changes once set.
    pub group_id: Option<Uuid>,
    /// What this manager has promised while the group is being formed, or until it is certain to have joined one.
    pub grant: Option<Grant>,
    /// Whom this manager was before its log or vote was damaged, oldest first. Empty once the group has given it that
    /// place again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<GrantMember>,
}

/// Whether a log directory is this identity's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOwner {
    /// It is, or there is no log yet and need not be.
    Ours,
    /// Somebody else's: of another manager, or of this one before it was wiped.
    Foreign(Uuid),
    /// This manager belongs to a group, and its log is gone.
    Missing,
}

/// A promise to become a member of one certain group, given before that group exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub group_id: Uuid,
    /// The manager that will initialise the group.
    pub initiator: Uuid,
    /// Grows when the same initiator asks again with another member set.
    pub round: u64,
    /// All members, ordered by id. Empty when an existing group is joined.
    pub members: Vec<GrantMember>,
}

/// One member in a [`Grant`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantMember {
    pub manager_id: Uuid,
    pub store_id: Uuid,
}

/// The identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{} is damaged: {reason}. Restore it from a backup of this data directory, or move the directory away and let this manager join as a new one", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} has format {found}; this program knows format {FORMAT}: use the version that wrote it", path.display())]
    UnknownFormat { path: PathBuf, found: u32 },
    #[error(transparent)]
    File(#[from] FileError),
}

impl Identity {
    /// Somebody new, in no group.
    pub fn fresh() -> Self {
        Self {
            format: FORMAT,
            manager_id: Uuid::new_v4(),
            store_id: Uuid::new_v4(),
            group_id: None,
            grant: None,
            replaces: Vec::new(),
        }
    }

    /// Reads the identity of `dir`, or makes one where there is none yet. A damaged file of a manager that belongs to
    /// a group is written anew from the copy beside the log.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(FILE);
        let damage = match file::read(&path) {
            Ok(None) => {
                let fresh = Self::fresh();
                fresh.save(dir)?;
                return Ok(fresh);
            }
            Ok(Some(identity)) if identity.format == FORMAT => return Ok(identity),
            Ok(Some(mut older)) => {
                older.format = FORMAT;
                older.save(dir)?;
                return Ok(older);
            }
            Err(damage @ IdentityError::Damaged { .. }) => damage,
            Err(error) => return Err(error),
        };
        match copy::read(dir) {
            Ok(Some(identity)) if identity.group_id.is_some() => {
                tracing::error!(%damage, "the identity is written anew from its copy beside the log");
                identity.save(dir)?;
                Ok(identity)
            }
            _ => Err(damage),
        }
    }

    /// Reads the identity of `dir` and changes nothing; `None` where there is none yet.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        file::read(&dir.join(FILE))
    }

    /// Durable on return.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        write_atomic(&dir.join(FILE), &file::encode(self))?;
        self.save_copy(dir)
    }

    /// Marks the log in `dir`, where there is one, as this identity's. Durable on return.
    pub fn save_copy(&self, dir: &Path) -> Result<(), IdentityError> {
        Ok(copy::write(dir, self)?)
    }

    /// Whose log lies in `dir`. Asked before the log is opened: opening makes a missing one.
    pub fn log_owner(&self, dir: &Path) -> Result<LogOwner, IdentityError> {
        let owner = match copy::read(dir) {
            Ok(owner) => owner,
            Err(reason) => {
                tracing::warn!(reason, dir = %dir.display(), "the copy of the identity beside the log is damaged and is written anew");
                None
            }
        };
        if let Some(owner) = owner.filter(|owner| owner.store_id != self.store_id) {
            return Ok(LogOwner::Foreign(owner.manager_id));
        }
        // The mark is written after the log was begun, and the group is joined after that. A log without a mark is
        // older than the marks.
        if self.group_id.is_some() && !copy::has_log(dir)? {
            return Ok(LogOwner::Missing);
        }
        Ok(LogOwner::Ours)
    }
}
