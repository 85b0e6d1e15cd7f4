use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FileError, write_atomic};

const FILE: &str = "identity.json";
const FORMAT: u32 = 1;

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
    /// What this manager has promised while the group is being formed.
    pub grant: Option<Grant>,
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
    /// Reads the identity of `dir`, or makes one where there is none yet.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::load(dir)? {
            return Ok(identity);
        }
        let fresh = Self::fresh();
        fresh.save(dir)?;
        Ok(fresh)
    }

    /// One that nobody has yet, and that belongs to no group.
    pub fn fresh() -> Self {
        Self {
            format: FORMAT,
            manager_id: Uuid::new_v4(),
            store_id: Uuid::new_v4(),
            group_id: None,
            grant: None,
        }
    }

    /// Reads the identity of `dir`; `None` where there is none yet.
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(FILE);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::of("read", &path)(error).into()),
        };
        let identity: Self =
            serde_json::from_slice(&content).map_err(|error| IdentityError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        if identity.format != FORMAT {
            return Err(IdentityError::UnknownFormat {
                path,
                found: identity.format,
            });
        }
        Ok(Some(identity))
    }

    /// Durable on return.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join(FILE);
        let mut content =
            serde_json::to_vec_pretty(self).map_err(|error| IdentityError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        content.push(b'\n');
        Ok(write_atomic(&path, &content)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_survives_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Identity::load_or_create(dir.path()).unwrap();
        first.group_id = Some(Uuid::new_v4());
        first.save(dir.path()).unwrap();
        assert_eq!(Identity::load_or_create(dir.path()).unwrap(), first);
        let mode = fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_identity_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{\"format\":1").unwrap();
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("identity.json is damaged"),
            "{error}"
        );
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"{\"format\":1");
    }
}
