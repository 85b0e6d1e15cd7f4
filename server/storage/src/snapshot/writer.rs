use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{END, FORMAT, MAGIC};
use crate::{FileError, SnapshotError};

/// Speed matters more than size: the leader writes this while it serves.
const LEVEL: i32 = 1;

/// What may wait for the disk at a time: the log's fsyncs on the same disk would wait behind more.
const SYNC_EVERY: usize = 4 * 1024 * 1024;

/// A file that goes to the disk while it is written, and not all of it at the end.
struct Paced {
    file: File,
    unsynced: usize,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes one snapshot, record by record, to a temporary file.
pub struct SnapshotWriter {
    body: zstd::Encoder<'static, BufWriter<Paced>>,
    path: PathBuf,
    checksum: crc32fast::Hasher,
    count: u64,
}

impl SnapshotWriter {
    pub(super) fn create(path: &Path, meta: &[u8]) -> Result<Self, SnapshotError> {
        let file = File::create(path).map_err(FileError::of("create", path))?;
        let mut head = Vec::with_capacity(MAGIC.len() + 12 + meta.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&(meta.len() as u32).to_le_bytes());
        head.extend_from_slice(meta);
        let checksum = crc32fast::hash(&head);
        head.extend_from_slice(&checksum.to_le_bytes());
        let mut file = BufWriter::new(Paced { file, unsynced: 0 });
        file.write_all(&head)
            .map_err(FileError::of("write", path))?;
        let body = zstd::Encoder::new(file, LEVEL).map_err(FileError::of("compress into", path))?;
        Ok(Self {
            body,
            path: path.into(),
            checksum: crc32fast::Hasher::new(),
            count: 0,
        })
    }

    /// Adds one record. The caller keeps the order.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        self.write(&(key.len() as u32).to_le_bytes())?;
        self.write(&(value.len() as u32).to_le_bytes())?;
        self.write(key)?;
        self.write(value)?;
        self.count += 1;
        Ok(())
    }

    /// Completes the file and fsyncs it.
    pub(super) fn finish(mut self) -> Result<(), SnapshotError> {
        self.write(&END.to_le_bytes())?;
        let count = self.count.to_le_bytes();
        self.write(&count)?;
        let checksum = self.checksum.clone().finalize().to_le_bytes();
        let path = self.path;
        self.body
            .write_all(&checksum)
            .map_err(FileError::of("write", &path))?;
        let file = self
            .body
            .finish()
            .map_err(FileError::of("write", &path))?
            .into_inner()
            .map_err(|error| FileError::of("write", &path)(error.into_error()))?;
        file.file
            .sync_all()
            .map_err(FileError::of("fsync", &path))?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.checksum.update(bytes);
        self.body
            .write_all(bytes)
            .map_err(FileError::of("write", &self.path))?;
        Ok(())
    }
}
