//! The node's data directory: who it is, what it serves, what it may do.

mod identity;
mod machine;
mod orders;
pub(crate) mod sealed;
mod take_up;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{self, DiskError};

pub(crate) use identity::first_key_file;
#[cfg(test)]
pub(crate) use identity::tests::enrolled as enrolled_as;
pub use identity::{Enrolled, GossipKeys, GroupSeen, Identity};
pub use machine::Machine;
pub use orders::{DrainWord, LastGood, Seen};

/// An open data directory. Held by one process at a time.
pub struct Store {
    directory: PathBuf,
    /// Held while who this node is is read, changed and written.
    changing: Mutex<()>,
    /// The id of an identity that was damaged.
    lost: Mutex<Option<krakend_domain::NodeId>>,
    _lock: File,
}

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the data directory cannot be used: {0}")]
    Disk(#[from] DiskError),
    #[error(
        "the data directory {0} is in use by another krakend-node: give each its own `data_dir`, or stop the other"
    )]
    Locked(String),
    #[error("{path} cannot be read: {reason}; restore it, or remove it to start without it")]
    Malformed { path: String, reason: String },
}

impl Store {
    /// Makes the directory where it is missing and locks it until the store is dropped.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        disk::make_directory(directory)?;
        disk::make_directory(&directory.join("versions"))?;
        let path = directory.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(DiskError::at(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                directory: directory.into(),
                changing: Mutex::default(),
                lost: Mutex::default(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::Locked(directory.display().to_string()))
            }
            Err(TryLockError::Error(error)) => Err(DiskError::at(&path)(error).into()),
        }
    }

    /// Path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.path(name);
        let Some(bytes) = disk::read(&path)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes).map_err(|error| StoreError::Malformed {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Some(value))
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T, mode: u32) -> Result<(), StoreError> {
        let path = self.path(name);
        let bytes = serde_json::to_vec_pretty(value).map_err(|error| StoreError::Malformed {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(disk::write(&path, &bytes, mode)?)
    }

    /// Addresses of members seen in gossip, to find the group when all seeds are dead.
    pub fn members(&self) -> Vec<std::net::SocketAddr> {
        // Losing them costs a detour, not a start.
        self.read_json("members.json")
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    pub fn set_members(&self, members: &[std::net::SocketAddr]) -> Result<(), StoreError> {
        self.write_json("members.json", &members, disk::PLAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_cannot_share_a_data_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Store::open(dir.path()).expect("opened");
        let text = Store::open(dir.path()).err().map(|error| error.to_string());
        assert!(text.is_some_and(|text| text.contains("in use by another krakend-node")));
        drop(first);
        assert!(Store::open(dir.path()).is_ok());
    }

    #[test]
    fn the_store_id_survives_a_restart_and_a_broken_file_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let id = {
            let store = Store::open(dir.path()).expect("opened");
            store.identity().expect("made").store_id
        };
        let store = Store::open(dir.path()).expect("opened");
        assert_eq!(store.identity().expect("read").store_id, id);
        std::fs::write(store.path("node.json"), b"{\"store").expect("written");
        let text = store.identity().err().map(|error| error.to_string());
        assert!(text.is_some_and(|text| text.contains("node.json")));
    }
}
