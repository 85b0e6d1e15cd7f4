use krakend_domain::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};
use crate::disk;

/// The highest order ever taken from a manager: `seen.json`. Older ones are not obeyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    pub epoch: u64,
    pub generation: u64,
}

/// The version that last came to serve: `last_good.json`. Its document is `versions/<digest>.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    pub epoch: u64,
    pub generation: u64,
    pub number: u64,
    /// Of the canonical form: the version's name.
    pub digest: Digest,
    /// Of the document's bytes as downloaded.
    pub body_sha256: Digest,
    /// Of the file as the gateway got it.
    pub rendered: Digest,
}

/// The newest word on whether this node shall take traffic: `drain.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainWord {
    pub epoch: u64,
    /// Log index of the word.
    pub index: u64,
    pub draining: bool,
}

impl LastGood {
    pub fn seen(&self) -> Seen {
        Seen {
            epoch: self.epoch,
            generation: self.generation,
        }
    }
}

impl Store {
    pub fn seen(&self) -> Result<Seen, StoreError> {
        Ok(self.read_json("seen.json")?.unwrap_or_default())
    }

    pub fn set_seen(&self, seen: Seen) -> Result<(), StoreError> {
        self.write_json("seen.json", &seen, disk::PLAIN)
    }

    pub fn drain_word(&self) -> Result<DrainWord, StoreError> {
        Ok(self.read_json("drain.json")?.unwrap_or_default())
    }

    pub fn set_drain_word(&self, word: &DrainWord) -> Result<(), StoreError> {
        self.write_json("drain.json", word, disk::PLAIN)
    }

    pub fn last_good(&self) -> Result<Option<LastGood>, StoreError> {
        self.read_json("last_good.json")
    }

    pub fn set_last_good(&self, last_good: &LastGood) -> Result<(), StoreError> {
        self.write_json("last_good.json", last_good, disk::PLAIN)
    }

    /// A stored document whose bytes still have the digest they had; `None` when it is missing or damaged.
    pub fn document(&self, digest: &Digest, body_sha256: &Digest) -> Option<Vec<u8>> {
        let bytes = disk::read(&self.path(&format!("versions/{digest}.json"))).ok()??;
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        (found == body_sha256.0).then_some(bytes)
    }

    /// Configurations may hold credentials, so only the owner reads them.
    pub fn set_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(&format!("versions/{digest}.json"));
        Ok(disk::write(&path, bytes, disk::SECRET)?)
    }

    /// Removes documents except the one that serves.
    pub fn forget_documents(&self, except: &Digest) {
        let keep = format!("{except}.json");
        let Ok(entries) = std::fs::read_dir(self.path("versions")) else {
            return;
        };
        for entry in entries.flatten().filter(|entry| entry.file_name() != *keep) {
            // One that stays behind costs only its space.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
