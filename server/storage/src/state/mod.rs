//! The applied records, in sled.

mod tally;
#[cfg(test)]
mod tests;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{FileError, StateError, failpoint, record};
use tally::Tally;

const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// One tree holds both, because only within a tree a batch is atomic.
const RECORD_PREFIX: u8 = b'r';
const META_KEY: &[u8] = b"m";
const TALLY_KEY: &[u8] = b"t";

/// A record to be written (`Some`) or deleted (`None`).
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The applied records on disk, always together with the position they belong to.
///
/// It may lag behind the state in memory and may lose its newest batches in a crash; it never mixes two positions.
#[derive(Debug)]
pub struct StateStore {
    dir: PathBuf,
    db: sled::Db,
    tally: Mutex<Tally>,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct LoadedState {
    /// What the last [`StateStore::write`] was given, `None` in a new store.
    pub meta: Option<Vec<u8>>,
    /// All records, ordered by key.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StateStore {
    /// Opens the store and reads all of it, every checksum verified.
    pub fn open(dir: &Path) -> Result<(Self, LoadedState), StateError> {
        // The engine panics on some damage of its files, which must not take the manager down.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_unguarded(dir)));
        opened.unwrap_or_else(|_| {
            Err(StateError::Open {
                dir: dir.into(),
                reason: "its files are damaged".into(),
            })
        })
    }

    fn open_unguarded(dir: &Path) -> Result<(Self, LoadedState), StateError> {
        let open_error = |error: sled::Error| StateError::Open {
            dir: dir.into(),
            reason: error.to_string(),
        };
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(1000))
            .open()
            .map_err(open_error)?;
        let mut loaded = LoadedState::default();
        let mut tally = Tally::default();
        let mut stored_tally = None;
        for item in db.iter() {
            let (key, sealed) = item.map_err(open_error)?;
            let value =
                record::open(&key, &sealed).map_err(|reason| StateError::DamagedRecord {
                    dir: dir.into(),
                    key: hex(&key),
                    reason,
                })?;
            match key.split_first() {
                Some((&RECORD_PREFIX, rest)) => {
                    tally.change(&key, Some(&sealed));
                    loaded.records.push((rest.into(), value.into()));
                }
                _ if *key == *META_KEY => loaded.meta = Some(value.into()),
                _ if *key == *TALLY_KEY => stored_tally = Some(value.to_vec()),
                _ => {
                    return Err(StateError::DamagedRecord {
                        dir: dir.into(),
                        key: hex(&key),
                        reason: "its kind is unknown".into(),
                    });
                }
            }
        }
        // Written since the second version of this store; a store without it is of the first.
        if stored_tally.is_some_and(|stored| stored != tally.to_bytes()) {
            return Err(StateError::Open {
                dir: dir.into(),
                reason: format!(
                    "its {} records are not those that were written",
                    loaded.records.len()
                ),
            });
        }
        let store = Self {
            dir: dir.into(),
            db,
            tally: Mutex::new(tally),
        };
        Ok((store, loaded))
    }

    /// Writes changes and position as one batch. Not durable on return, and need not be.
    pub fn write(
        &self,
        meta: &[u8],
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), StateError> {
        let mut batch = sled::Batch::default();
        let mut tally = self.tally();
        for (key, value) in changes {
            let key = record_key(&key);
            // Came and went since the last batch.
            if value.is_none() && !tally.has(&key) {
                continue;
            }
            let sealed = value.map(|value| record::seal(&key, &value));
            tally.change(&key, sealed.as_deref());
            match sealed {
                Some(sealed) => batch.insert(&*key, sealed),
                None => batch.remove(&*key),
            }
        }
        self.apply(batch, meta, &tally)
    }

    /// Replaces everything, as after the installation of a snapshot.
    pub fn replace(
        &self,
        meta: &[u8],
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StateError> {
        // In one batch with the removals: a crash in between leaves the old state, whole.
        let mut batch = sled::Batch::default();
        let mut tally = self.tally();
        *tally = Tally::default();
        for key in self.db.iter().keys() {
            batch.remove(key.map_err(|error| self.write_error(error))?);
        }
        for (key, value) in records {
            let key = record_key(&key);
            let sealed = record::seal(&key, &value);
            tally.change(&key, Some(&sealed));
            batch.insert(&*key, sealed);
        }
        self.apply(batch, meta, &tally)
    }

    /// Hands everything to the operating system, for a clean stop.
    pub fn flush(&self) -> Result<(), StateError> {
        self.db
            .flush()
            .map(drop)
            .map_err(|error| self.write_error(error))
    }

    /// Deletes a store that is damaged. The caller rebuilds it from snapshot file and log.
    pub fn delete(dir: &Path) -> Result<(), StateError> {
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(FileError::of("delete", dir))?;
        }
        Ok(())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, mut batch: sled::Batch, meta: &[u8], tally: &Tally) -> Result<(), StateError> {
        batch.insert(META_KEY, record::seal(META_KEY, meta));
        batch.insert(TALLY_KEY, record::seal(TALLY_KEY, &tally.to_bytes()));
        failpoint::reach("state-write");
        self.db
            .apply_batch(batch)
            .map_err(|error| self.write_error(error))?;
        failpoint::reach("state-written");
        Ok(())
    }

    fn write_error(&self, error: sled::Error) -> StateError {
        StateError::Write {
            dir: self.dir.clone(),
            reason: error.to_string(),
        }
    }
}

fn record_key(key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(1 + key.len());
    full.push(RECORD_PREFIX);
    full.extend_from_slice(key);
    full
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
