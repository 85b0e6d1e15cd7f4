use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use super::{END, FORMAT, MAGIC, MAX_FIELD_BYTES};
use crate::{FileError, SnapshotError};

/// One record's key and value.
type KeyAndValue = (Vec<u8>, Vec<u8>);

/// Reads a snapshot record by record. A damaged one ends with an error, at the latest after its last record, so
/// nothing that was read may be used before the iterator has ended without one.
pub struct SnapshotReader {
    body: zstd::Decoder<'static, BufReader<File>>,
    path: PathBuf,
    meta: Vec<u8>,
    checksum: crc32fast::Hasher,
    count: u64,
    ended: bool,
}

impl SnapshotReader {
    /// Opens the file and verifies its head.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path).map_err(FileError::of("open", path))?;
        let mut file = BufReader::new(file);
        let meta = read_head(&mut file, path)?;
        let body = zstd::Decoder::with_buffer(file).map_err(FileError::of("read", path))?;
        Ok(Self {
            body,
            path: path.into(),
            meta,
            checksum: crc32fast::Hasher::new(),
            count: 0,
            ended: false,
        })
    }

    /// The caller's metadata, verified.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    fn next_record(&mut self) -> Result<Option<KeyAndValue>, SnapshotError> {
        let key_bytes = self.read_u32()?;
        if key_bytes == END {
            self.verify_end()?;
            return Ok(None);
        }
        let value_bytes = self.read_u32()?;
        if key_bytes > MAX_FIELD_BYTES || value_bytes > MAX_FIELD_BYTES {
            return Err(self.damaged("its length is beyond the limit"));
        }
        let key = self.read_bytes(key_bytes)?;
        let value = self.read_bytes(value_bytes)?;
        self.count += 1;
        Ok(Some((key, value)))
    }

    fn verify_end(&mut self) -> Result<(), SnapshotError> {
        let mut count = [0; 8];
        self.read_exact(&mut count)?;
        let found = self.checksum.clone().finalize();
        let mut checksum = [0; 4];
        self.read_exact(&mut checksum)?;
        if u64::from_le_bytes(count) != self.count {
            return Err(self.damaged("records are missing"));
        }
        if u32::from_le_bytes(checksum) != found {
            return Err(self.damaged("the content does not match its checksum"));
        }
        Ok(())
    }

    fn read_u32(&mut self) -> Result<u32, SnapshotError> {
        let mut bytes = [0; 4];
        self.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn read_bytes(&mut self, length: u32) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = vec![0; length as usize];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.body
            .read_exact(bytes)
            .map_err(|error| self.damaged(&error.to_string()))?;
        self.checksum.update(bytes);
        Ok(())
    }

    fn damaged(&self, reason: &str) -> SnapshotError {
        SnapshotError::Damaged {
            file: self.path.clone(),
            what: format!("record {}", self.count),
            reason: reason.into(),
        }
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<KeyAndValue, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.next_record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

fn read_head(file: &mut impl Read, path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let damaged = |reason: String| SnapshotError::Damaged {
        file: path.into(),
        what: "its head".into(),
        reason,
    };
    let mut head = vec![0; MAGIC.len() + 8];
    file.read_exact(&mut head)
        .map_err(|error| damaged(error.to_string()))?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if !head.starts_with(MAGIC) {
        return Err(damaged("it is no snapshot".into()));
    }
    let (format, meta_bytes) = (word(MAGIC.len()), word(MAGIC.len() + 4));
    if format != FORMAT {
        return Err(SnapshotError::UnknownFormat {
            file: path.into(),
            found: format,
            supported: FORMAT,
        });
    }
    if meta_bytes > MAX_FIELD_BYTES {
        return Err(damaged("its length is beyond the limit".into()));
    }
    let mut meta = vec![0; meta_bytes as usize];
    let mut checksum = [0; 4];
    file.read_exact(&mut meta)
        .and_then(|()| file.read_exact(&mut checksum))
        .map_err(|error| damaged(error.to_string()))?;
    head.extend_from_slice(&meta);
    if crc32fast::hash(&head) != u32::from_le_bytes(checksum) {
        return Err(damaged("it does not match its checksum".into()));
    }
    Ok(meta)
}
