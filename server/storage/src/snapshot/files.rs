use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{SnapshotReader, SnapshotWriter};
use crate::{FileError, LogPosition, SnapshotError, atomic_file::sync_dir, failpoint};

/// How many snapshots stay.
const KEEP: usize = 2;
const SUFFIX: &str = "snapshot";
const TEMPORARY: &str = "tmp";
const DAMAGED: &str = "damaged";

/// The directory of a manager's snapshots. Clones share it.
#[derive(Clone, Debug)]
pub struct SnapshotFiles {
    dir: PathBuf,
}

/// A complete snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    pub path: PathBuf,
    /// The last entry it contains.
    pub position: LogPosition,
    pub bytes: u64,
}

/// A snapshot that arrives in pieces. Dropped without [`SnapshotFiles::accept`], it leaves nothing behind.
#[derive(Debug)]
pub struct IncomingSnapshot {
    file: File,
    path: PathBuf,
}

impl SnapshotFiles {
    /// Opens the directory, and removes what a crash left half written.
    pub fn open(dir: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(dir).map_err(FileError::of("create", dir))?;
        for entry in fs::read_dir(dir).map_err(FileError::of("list", dir))? {
            let path = entry.map_err(FileError::of("list", dir))?.path();
            if path.extension().is_some_and(|it| it == TEMPORARY) {
                fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
            }
        }
        Ok(Self { dir: dir.into() })
    }

    /// Writes a snapshot. Durable on return; older ones beyond the newest two are gone then.
    pub fn write(
        &self,
        position: LogPosition,
        meta: &[u8],
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<SnapshotFile, SnapshotError> {
        let temporary = self.temporary();
        let mut writer = SnapshotWriter::create(&temporary, meta)?;
        failpoint::reach("snapshot-begun");
        for (key, value) in records {
            writer.push(&key, &value)?;
        }
        writer.finish()?;
        failpoint::reach("snapshot-complete");
        self.publish(&temporary, position)
    }

    /// Begins to receive a snapshot from another manager.
    pub fn receive(&self) -> Result<IncomingSnapshot, SnapshotError> {
        let path = self.temporary();
        let file = File::create(&path).map_err(FileError::of("create", &path))?;
        Ok(IncomingSnapshot { file, path })
    }

    /// Verifies a received snapshot completely and gives it its name. Durable on return.
    pub fn accept(
        &self,
        incoming: IncomingSnapshot,
        position: LogPosition,
    ) -> Result<SnapshotFile, SnapshotError> {
        incoming
            .file
            .sync_all()
            .map_err(FileError::of("fsync", &incoming.path))?;
        verify(&incoming.path)?;
        self.publish(&incoming.path, position)
    }

    /// Makes a snapshot that lies elsewhere one of these, verified.
    pub fn adopt(&self, file: &SnapshotFile) -> Result<SnapshotFile, SnapshotError> {
        if file.path.parent() == Some(&*self.dir) {
            return Ok(file.clone());
        }
        let mut incoming = self.receive()?;
        let mut source = File::open(&file.path).map_err(FileError::of("open", &file.path))?;
        io::copy(&mut source, &mut incoming.file).map_err(FileError::of("copy", &file.path))?;
        self.accept(incoming, file.position)
    }

    /// All snapshots, newest first.
    pub fn list(&self) -> Result<Vec<SnapshotFile>, SnapshotError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(FileError::of("list", &self.dir))? {
            let path = entry.map_err(FileError::of("list", &self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(position) = name.and_then(position_of) else {
                continue;
            };
            let bytes = fs::metadata(&path)
                .map_err(FileError::of("read", &path))?
                .len();
            found.push(SnapshotFile {
                path,
                position,
                bytes,
            });
        }
        found.sort_by_key(|file| std::cmp::Reverse((file.position.index, file.position.term)));
        Ok(found)
    }

    /// The newest snapshot that is whole. Damaged ones are named in the log, set aside under another name, and told
    /// through `damage`. Reads the whole file.
    pub fn newest_verified(
        &self,
        mut damage: impl FnMut(String),
    ) -> Result<Option<SnapshotFile>, SnapshotError> {
        for file in self.list()? {
            match verify(&file.path) {
                Ok(()) => return Ok(Some(file)),
                Err(error @ SnapshotError::Damaged { .. }) => {
                    let aside = self.set_aside(&file)?;
                    tracing::error!(%error, "a damaged snapshot was set aside as {}", aside.display());
                    damage(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The damaged snapshots that were set aside and are still there.
    pub fn damaged(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(FileError::of("list", &self.dir))? {
            let path = entry.map_err(FileError::of("list", &self.dir))?.path();
            if path.extension().is_some_and(|it| it == DAMAGED) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Renamed, so that it is neither used nor lost. Of the damaged ones the newest two stay as well.
    fn set_aside(&self, file: &SnapshotFile) -> Result<PathBuf, SnapshotError> {
        let aside = file.path.with_extension(format!("{SUFFIX}.{DAMAGED}"));
        fs::rename(&file.path, &aside).map_err(FileError::of("rename to", &aside))?;
        sync_dir(&self.dir)?;
        let kept = self.damaged()?;
        let surplus = kept.len().saturating_sub(KEEP);
        for old in kept.into_iter().take(surplus) {
            tracing::warn!(file = %old.display(), "deleting the oldest of the damaged snapshots: {KEEP} are kept");
            fs::remove_file(&old).map_err(FileError::of("remove", &old))?;
        }
        Ok(aside)
    }

    /// The newest snapshot.
    pub fn newest(&self) -> Result<Option<SnapshotFile>, SnapshotError> {
        Ok(self.list()?.into_iter().next())
    }

    fn publish(
        &self,
        temporary: &Path,
        position: LogPosition,
    ) -> Result<SnapshotFile, SnapshotError> {
        let path = self.dir.join(format!(
            "{:020}-{:020}.{SUFFIX}",
            position.index, position.term
        ));
        fs::rename(temporary, &path).map_err(FileError::of("rename to", &path))?;
        failpoint::reach("snapshot-renamed");
        sync_dir(&self.dir)?;
        for old in self.list()?.into_iter().skip(KEEP) {
            fs::remove_file(&old.path).map_err(FileError::of("remove", &old.path))?;
        }
        let bytes = fs::metadata(&path)
            .map_err(FileError::of("read", &path))?
            .len();
        Ok(SnapshotFile {
            path,
            position,
            bytes,
        })
    }

    fn temporary(&self) -> PathBuf {
        self.dir.join(format!("{}.{TEMPORARY}", Uuid::new_v4()))
    }
}

impl IncomingSnapshot {
    /// Appends the next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        self.file
            .write_all(piece)
            .map_err(FileError::of("write", &self.path))?;
        Ok(())
    }
}

impl Drop for IncomingSnapshot {
    fn drop(&mut self) {
        // After `accept` the name is free again, and the error is expected.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads all of it.
fn verify(path: &Path) -> Result<(), SnapshotError> {
    for record in SnapshotReader::open(path)? {
        record?;
    }
    Ok(())
}

fn position_of(name: &str) -> Option<LogPosition> {
    let (index, term) = name
        .strip_suffix(SUFFIX)?
        .strip_suffix('.')?
        .split_once('-')?;
    Some(LogPosition {
        term: term.parse().ok()?,
        index: index.parse().ok()?,
    })
}
