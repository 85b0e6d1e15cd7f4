use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use crate::FileError;

/// Holds a data directory for this process. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
    path: PathBuf,
}

/// The data directory cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the data directory {} is in use by another process: stop it, or give this manager a `data_dir` of its own", dir.display())]
    InUse { dir: PathBuf },
    #[error(transparent)]
    File(#[from] FileError),
}

impl DataDirLock {
    /// Creates the directory where it is missing, and takes it.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        fs::create_dir_all(dir).map_err(FileError::of("create", dir))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::of("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file, path }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse { dir: dir.into() }),
            Err(TryLockError::Error(source)) => Err(FileError::of("lock", &path)(source).into()),
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDirLock::take(dir.path()).unwrap();
        assert!(matches!(
            DataDirLock::take(dir.path()),
            Err(LockError::InUse { .. })
        ));
        drop(held);
        DataDirLock::take(dir.path()).unwrap();
    }
}
