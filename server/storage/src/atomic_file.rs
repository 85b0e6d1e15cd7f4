use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::FileError;

/// Replaces a file so that after a crash at any point either the old or the new content is there, whole.
///
/// Durable on return: the file and its directory are fsynced. Only the owner may read it (0600).
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(FileError::of("create", &temporary))?;
    file.write_all(content)
        .map_err(FileError::of("write", &temporary))?;
    file.sync_all()
        .map_err(FileError::of("fsync", &temporary))?;
    fs::rename(&temporary, path).map_err(FileError::of("rename to", path))?;
    sync_parent(path)
}

/// Makes the directory entry of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    match path.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(FileError::of("fsync", dir))
}
