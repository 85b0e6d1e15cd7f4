//! Files that survive a power cut: written beside, synced, renamed, directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Permissions of files that hold secrets.
pub const SECRET: u32 = 0o600;
/// Permissions of the others.
pub const PLAIN: u32 = 0o644;

/// A file or directory that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct DiskError {
    pub path: String,
    pub source: io::Error,
}

impl DiskError {
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self { path, source }
    }
}

/// Replaces the file as a whole or not at all. Returns after the data and the name are on disk.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DiskError> {
    // Beside `node.json` there may be a `node.pem`: each has its own.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let put = || -> io::Result<()> {
        // One left by a crash may have other permissions.
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    put().map_err(DiskError::at(path))
}

/// The file's bytes; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::at(path)(error)),
    }
}

/// Makes the directory and those above it.
pub fn make_directory(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(DiskError::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_in_their_ending_only_do_not_write_into_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["node.json", "node.pem", "node.toml"];
        std::thread::scope(|scope| {
            for name in names {
                let path = dir.path().join(name);
                scope.spawn(move || {
                    for _ in 0..50 {
                        write(&path, name.as_bytes(), PLAIN).unwrap();
                    }
                });
            }
        });
        for name in names {
            let bytes = read(&dir.path().join(name)).unwrap().unwrap();
            assert_eq!(bytes, name.as_bytes());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), names.len());
    }
}
