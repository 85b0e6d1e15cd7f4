//! How much room is left where the data lies, and a file that is given up when there is hardly any.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{FileError, atomic_file::sync_parent};

const FILE: &str = "reserve";
static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file system's room, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    pub total: u64,
    /// What this program may still use.
    pub available: u64,
}

impl DiskSpace {
    /// Of the file system that `dir` lies on.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Self {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

/// Room that is taken in good times, so that votes, purges and snapshots can be written on a disk that others have
/// filled.
#[derive(Debug)]
pub struct ReserveFile {
    path: PathBuf,
    bytes: u64,
}

impl ReserveFile {
    /// Takes nothing yet.
    pub fn new(dir: &Path, bytes: u64) -> Self {
        Self {
            path: dir.join(FILE),
            bytes,
        }
    }

    /// In bytes, once it is taken.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_taken(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|it| it.len() == self.bytes)
    }

    /// Writes the file, with real blocks. A half-written one is removed.
    pub fn take(&self) -> Result<(), FileError> {
        let write = || -> io::Result<()> {
            let mut file = File::create(&self.path)?;
            let mut left = self.bytes;
            while left > 0 {
                let piece = left.min(PIECE.len() as u64);
                file.write_all(&PIECE[..piece as usize])?;
                left -= piece;
            }
            file.sync_all()
        };
        if let Err(error) = write() {
            let _ = fs::remove_file(&self.path);
            return Err(FileError::of("write", &self.path)(error));
        }
        sync_parent(&self.path)
    }

    /// Gives its room to what must be written.
    pub fn give_up(&self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::of("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_taken_and_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let space = DiskSpace::of(dir.path()).unwrap();
        assert!(space.available > 0 && space.available <= space.total);
        let reserve = ReserveFile::new(dir.path(), 100_000);
        assert!(!reserve.is_taken());
        reserve.take().unwrap();
        assert!(reserve.is_taken());
        reserve.give_up().unwrap();
        reserve.give_up().unwrap();
        assert!(!reserve.is_taken());
        let nowhere = ReserveFile::new(&dir.path().join("absent"), 1);
        assert!(nowhere.take().is_err());
    }
}
