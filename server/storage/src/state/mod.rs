//! The applied records, in sled.

mod packs;
mod tally;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{FileError, StateError, failpoint, record};
use packs::{Filling, PACKED_AT_MOST, mentions};
use tally::{Place, Tally};

const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// One tree holds all, because only within a tree a batch is atomic.
const RECORD_PREFIX: u8 = b'r';
const PACK_PREFIX: u8 = b'p';
/// So much is copied out of old packs beside a batch, whatever its size.
const EMPTIED_AT_LEAST: usize = 64 * 1024;
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
        // No timed flush: the engine would fsync its file each second, for which every fsync of the log waits in the file
        // system's journal. What a power loss takes or mixes is noticed by checksums and tally, and rebuilt.
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(open_error)?;
        let mut meta = None;
        let mut records = BTreeMap::<Vec<u8>, Vec<u8>>::new();
        let mut tally = Tally::default();
        let mut stored_tally = None;
        // Packs come before records that stand alone: their prefix is lower. So the order of reading is that of writing.
        for item in db.iter() {
            let (key, sealed) = item.map_err(open_error)?;
            let damaged = |reason: String| StateError::DamagedRecord {
                dir: dir.into(),
                key: hex(&key),
                reason,
            };
            let value = record::open(&key, &sealed).map_err(damaged)?;
            match key.split_first() {
                Some((&RECORD_PREFIX, rest)) => {
                    tally.put(rest, value, crc32fast::hash(&sealed), None);
                    records.insert(rest.into(), value.into());
                }
                Some((&PACK_PREFIX, rest)) => {
                    let number = rest.try_into().map(u64::from_be_bytes);
                    let (Ok(number), Some(mentions)) = (number, mentions(value)) else {
                        return Err(damaged("it is no pack of records".into()));
                    };
                    for (key, value) in mentions {
                        match value {
                            Some(value) => {
                                tally.put(key, value, record::checksum(key, value), Some(number));
                                records.insert(key.into(), value.into());
                            }
                            None => {
                                tally.remove(key);
                                tally.packs.add(number, key, None);
                                records.remove(key);
                            }
                        }
                    }
                }
                _ if *key == *META_KEY => meta = Some(value.into()),
                _ if *key == *TALLY_KEY => stored_tally = Some(value.to_vec()),
                _ => return Err(damaged("its kind is unknown".into())),
            }
        }
        let loaded = LoadedState {
            meta,
            records: records.into_iter().collect(),
        };
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
        let mut tally = self.tally();
        let mut writing = Writing::begin(&mut tally);
        for (key, value) in changes {
            writing.change(&key, value.as_deref());
        }
        writing
            .empty_packs(&self.db)
            .map_err(|reason| self.write_error(&reason))?;
        let batch = writing.finish();
        self.apply(batch, meta, &tally)
    }

    /// Replaces everything, as after the installation of a snapshot.
    pub fn replace(
        &self,
        meta: &[u8],
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StateError> {
        // In one batch with the removals: a crash in between leaves the old state, whole.
        let mut tally = self.tally();
        *tally = Tally::default();
        let mut writing = Writing::begin(&mut tally);
        for key in self.db.iter().keys() {
            let key = key.map_err(|error| self.write_error(&error))?;
            writing.batch.remove(key);
        }
        for (key, value) in records {
            writing.change(&key, Some(&value));
        }
        let batch = writing.finish();
        self.apply(batch, meta, &tally)
    }

    /// Hands everything to the operating system, for a clean stop.
    pub fn flush(&self) -> Result<(), StateError> {
        self.db
            .flush()
            .map(drop)
            .map_err(|error| self.write_error(&error))
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
            .map_err(|error| self.write_error(&error))?;
        // Out of the engine's buffer, so that a killed process has little to replay. This waits for the disk, but
        // commits nothing in the file system's journal.
        self.flush()?;
        failpoint::reach("state-written");
        Ok(())
    }

    fn write_error(&self, error: &dyn std::fmt::Display) -> StateError {
        StateError::Write {
            dir: self.dir.clone(),
            reason: error.to_string(),
        }
    }
}

/// One batch in the making.
struct Writing<'a> {
    tally: &'a mut Tally,
    batch: sled::Batch,
    filling: Filling,
    first: u64,
    bytes: usize,
}

impl<'a> Writing<'a> {
    fn begin(tally: &'a mut Tally) -> Self {
        let filling = tally.packs.filling();
        Self {
            first: filling.number(),
            filling,
            tally,
            batch: sled::Batch::default(),
            bytes: 0,
        }
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        match value {
            Some(value) if value.len() <= PACKED_AT_MOST => self.pack(key, value),
            Some(value) => {
                let full = record_key(key);
                let sealed = record::seal(&full, value);
                let before = self.tally.put(key, value, crc32fast::hash(&sealed), None);
                self.batch.insert(full, sealed);
                if matches!(before, Some(Place::Packed(..))) {
                    self.say_gone(key);
                }
            }
            None => match self.tally.remove(key) {
                // Came and went since the last batch.
                None => {}
                Some(Place::Alone) => self.batch.remove(record_key(key)),
                Some(Place::Packed(..)) => self.say_gone(key),
            },
        }
    }

    fn pack(&mut self, key: &[u8], value: &[u8]) {
        let number = self.filling.push(key, Some(value));
        let checksum = record::checksum(key, value);
        let before = self.tally.put(key, value, checksum, Some(number));
        if before == Some(Place::Alone) {
            self.batch.remove(record_key(key));
        }
    }

    /// Older packs may mention it.
    fn say_gone(&mut self, key: &[u8]) {
        let number = self.filling.push(key, None);
        self.tally.packs.add(number, key, None);
    }

    /// Copies what lives in the oldest packs into new ones, twice as much as was written: so it keeps up.
    fn empty_packs(&mut self, db: &sled::Db) -> Result<(), String> {
        let mut left = EMPTIED_AT_LEAST + 2 * self.bytes;
        while let Some(oldest) = self.tally.packs.to_empty()
            && oldest < self.first
        {
            let key = pack_key(oldest);
            let stored = db.get(key).map_err(|error| error.to_string())?;
            let sealed = stored.ok_or_else(|| format!("pack {oldest} is gone"))?;
            let content = record::open(&key, &sealed)?;
            let mentions =
                mentions(content).ok_or_else(|| format!("pack {oldest} is not whole"))?;
            for (key, value) in mentions {
                let lives =
                    matches!(self.tally.place(key), Some(Place::Packed(at, _)) if at == oldest);
                if let (true, Some(value)) = (lives, value) {
                    self.pack(key, value);
                }
            }
            self.tally.packs.remove(oldest);
            self.batch.remove(&key);
            left = left.saturating_sub(content.len());
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> sled::Batch {
        for (number, content) in self.filling.finish() {
            let key = pack_key(number);
            self.batch.insert(&key, record::seal(&key, &content));
        }
        self.batch
    }
}

fn pack_key(number: u64) -> [u8; 9] {
    let mut key = [PACK_PREFIX; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
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
