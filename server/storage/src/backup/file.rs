use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{FileError, atomic_file::sync_dir};

const TEMPORARY: &str = "part";

/// A backup on its way to its name: written beside it, readable by its owner only. Dropped without
/// [`BackupFile::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BackupFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

/// The file cannot get its name. Nothing was replaced.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{} exists: name another file, or replace it with --force", file.display())]
    Exists { file: PathBuf },
    #[error("{} is a directory: name a file in it", file.display())]
    Directory { file: PathBuf },
    #[error(transparent)]
    File(#[from] FileError),
}

impl BackupFile {
    /// Begins a file that will be called `target`; `replace`: whether it may replace one of that name.
    pub fn create(target: &Path, replace: bool) -> Result<Self, TargetError> {
        if target.is_dir() {
            return Err(TargetError::Directory {
                file: target.into(),
            });
        }
        if !replace && target.symlink_metadata().is_ok() {
            return Err(TargetError::Exists {
                file: target.into(),
            });
        }
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{TEMPORARY}", Uuid::new_v4().simple()));
        let temporary = target.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(FileError::of("create", &temporary))?;
        Ok(Self {
            file,
            temporary,
            target: target.into(),
        })
    }

    /// Where the bytes are until they are published.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name. Durable on return: file and directory are fsynced.
    pub fn publish(self, replace: bool) -> Result<(), TargetError> {
        self.file
            .sync_all()
            .map_err(FileError::of("fsync", &self.temporary))?;
        if replace {
            fs::rename(&self.temporary, &self.target)
                .map_err(FileError::of("rename to", &self.target))?;
        } else {
            self.publish_new()?;
        }
        let dir = match self.target.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        Ok(sync_dir(dir)?)
    }

    /// A link fails where the name is taken, also when somebody took it a moment ago; a rename would not.
    fn publish_new(&self) -> Result<(), TargetError> {
        let taken = || TargetError::Exists {
            file: self.target.clone(),
        };
        match fs::hard_link(&self.temporary, &self.target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken()),
            // Some file systems have no links.
            Err(_) if self.target.symlink_metadata().is_ok() => Err(taken()),
            Err(_) => Ok(fs::rename(&self.temporary, &self.target)
                .map_err(FileError::of("rename to", &self.target))?),
        }
    }
}

impl Write for BackupFile {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.file.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        // Renamed away already in one of the ways; then the error is expected.
        let _ = fs::remove_file(&self.temporary);
    }
}
