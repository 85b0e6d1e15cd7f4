use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    CLOSING, END, FIXED_HEAD_BYTES, FORMAT, MAGIC, MAX_FIELD_BYTES, MAX_META_BYTES, TAIL_BYTES,
};
use crate::FileError;

const PIECE_BYTES: usize = 64 * 1024;

/// One record's key and value.
type KeyAndValue = (Vec<u8>, Vec<u8>);

/// A backup that cannot be used. Nothing of it was used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} is no backup of a cluster: make one with `krakend-cluster-manager snapshot save FILE`", file.display())]
    NoBackup { file: PathBuf },
    #[error("the backup {} has format {found}; this program reads format {FORMAT}: use the version that wrote it, or a newer one", file.display())]
    UnknownFormat { file: PathBuf, found: u32 },
    #[error("the backup {} is incomplete: it ends after {bytes} bytes without its closing mark. Take another copy, or an older backup", file.display())]
    Truncated { file: PathBuf, bytes: u64 },
    #[error("the backup {} is damaged: its content has the SHA-256 {found}, it says {stored}. Take another copy, or an older backup", file.display())]
    Digest {
        file: PathBuf,
        found: String,
        stored: String,
    },
    #[error("the backup {} does not hold what it should at {what}: {reason}", file.display())]
    Malformed {
        file: PathBuf,
        what: String,
        reason: String,
    },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads a backup record by record. The digest over all of it was verified before the first one.
pub struct BackupReader {
    body: zstd::Decoder<'static, BufReader<Take<File>>>,
    path: PathBuf,
    meta: Vec<u8>,
    bytes: u64,
    sha256: [u8; 32],
    count: u64,
    ended: bool,
}

impl BackupReader {
    /// Opens the file and verifies it completely: one pass over its bytes, in pieces.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let unreadable = |error| FileError::of("read", path)(error);
        let mut file = File::open(path).map_err(FileError::of("open", path))?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let meta_bytes = verify_head(&mut file, path, bytes)?;
        let sha256 = verify_digest(&mut file, path, bytes)?;
        let head_bytes = FIXED_HEAD_BYTES as u64 + u64::from(meta_bytes);
        let meta = read_meta(&mut file, path, meta_bytes)?;
        file.seek(SeekFrom::Start(head_bytes)).map_err(unreadable)?;
        let body = file.take((bytes - TAIL_BYTES as u64).saturating_sub(head_bytes));
        let body = zstd::Decoder::with_buffer(BufReader::new(body)).map_err(unreadable)?;
        Ok(Self {
            body,
            path: path.into(),
            meta,
            bytes,
            sha256,
            count: 0,
            ended: false,
        })
    }

    /// The caller's metadata.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the whole file.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    fn next_record(&mut self) -> Result<Option<KeyAndValue>, BackupError> {
        let key_bytes = self.read_u32()?;
        if key_bytes == END {
            self.verify_end()?;
            return Ok(None);
        }
        let value_bytes = self.read_u32()?;
        if key_bytes > MAX_FIELD_BYTES || value_bytes > MAX_FIELD_BYTES {
            return Err(self.malformed("its length is beyond the limit"));
        }
        let key = self.read_field(key_bytes)?;
        let value = self.read_field(value_bytes)?;
        self.count += 1;
        Ok(Some((key, value)))
    }

    fn verify_end(&mut self) -> Result<(), BackupError> {
        let mut count = [0; 8];
        self.read_exact(&mut count)?;
        if u64::from_le_bytes(count) != self.count {
            return Err(self.malformed("records are missing"));
        }
        match self.body.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.malformed("more follows the last record")),
            Err(error) => Err(self.malformed(&error.to_string())),
        }
    }

    fn read_u32(&mut self) -> Result<u32, BackupError> {
        let mut bytes = [0; 4];
        self.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Grown by what is there, so that a wrong length does not allocate.
    fn read_field(&mut self, length: u32) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        let read = (&mut self.body)
            .take(u64::from(length))
            .read_to_end(&mut bytes);
        match read {
            Ok(found) if found == length as usize => Ok(bytes),
            Ok(_) => Err(self.malformed("it ends early")),
            Err(error) => Err(self.malformed(&error.to_string())),
        }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.body
            .read_exact(bytes)
            .map_err(|error| self.malformed(&error.to_string()))
    }

    fn malformed(&self, reason: &str) -> BackupError {
        BackupError::Malformed {
            file: self.path.clone(),
            what: format!("record {}", self.count),
            reason: reason.into(),
        }
    }
}

impl Iterator for BackupReader {
    type Item = Result<KeyAndValue, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.next_record().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Whether this is a backup at all, and one that this program reads. Gives the length of the metadata.
fn verify_head(file: &mut File, path: &Path, bytes: u64) -> Result<u32, BackupError> {
    let mut head = Vec::new();
    file.take(MAGIC.len() as u64 + 8)
        .read_to_end(&mut head)
        .map_err(FileError::of("read", path))?;
    let begun = head.len().min(MAGIC.len());
    if begun == 0 || head[..begun] != MAGIC[..begun] {
        return Err(BackupError::NoBackup { file: path.into() });
    }
    let truncated = || BackupError::Truncated {
        file: path.into(),
        bytes,
    };
    let word = |at: usize| -> Option<u32> {
        let bytes = head.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let format = word(MAGIC.len()).ok_or_else(truncated)?;
    if format != FORMAT {
        return Err(BackupError::UnknownFormat {
            file: path.into(),
            found: format,
        });
    }
    let meta_bytes = word(MAGIC.len() + 4).ok_or_else(truncated)?;
    let least = (FIXED_HEAD_BYTES + TAIL_BYTES) as u64;
    if bytes < least {
        return Err(truncated());
    }
    Ok(meta_bytes)
}

/// Digests the file in pieces. Gives the SHA-256 of all of it.
fn verify_digest(file: &mut File, path: &Path, bytes: u64) -> Result<[u8; 32], BackupError> {
    let unreadable = |error: io::Error| FileError::of("read", path)(error);
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    // The closing mark is under the digest, the digest is not.
    let mut left = bytes - (TAIL_BYTES - CLOSING.len()) as u64;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut mark = [0; CLOSING.len()];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        file.read_exact(&mut piece[..wanted]).map_err(unreadable)?;
        hash.update(&piece[..wanted]);
        left -= wanted as u64;
    }
    let at = bytes - TAIL_BYTES as u64;
    file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
    let mut stored = [0; TAIL_BYTES - CLOSING.len()];
    file.read_exact(&mut mark).map_err(unreadable)?;
    file.read_exact(&mut stored).map_err(unreadable)?;
    if mark != *CLOSING {
        return Err(BackupError::Truncated {
            file: path.into(),
            bytes,
        });
    }
    let found: [u8; 32] = hash.clone().finalize().into();
    if found != stored {
        return Err(BackupError::Digest {
            file: path.into(),
            found: hex(&found),
            stored: hex(&stored),
        });
    }
    hash.update(stored);
    Ok(hash.finalize().into())
}

fn read_meta(file: &mut File, path: &Path, meta_bytes: u32) -> Result<Vec<u8>, BackupError> {
    let malformed = |reason: &str| BackupError::Malformed {
        file: path.into(),
        what: "its head".into(),
        reason: reason.into(),
    };
    if meta_bytes > MAX_META_BYTES {
        return Err(malformed("its length is beyond the limit"));
    }
    file.seek(SeekFrom::Start(0))
        .map_err(FileError::of("read", path))?;
    let mut head = Vec::new();
    let length = FIXED_HEAD_BYTES as u64 + u64::from(meta_bytes);
    file.take(length)
        .read_to_end(&mut head)
        .map_err(FileError::of("read", path))?;
    let Some((head, checksum)) = head.split_last_chunk::<4>() else {
        return Err(malformed("it ends early"));
    };
    if head.len() as u64 + 4 != length || crc32fast::hash(head) != u32::from_le_bytes(*checksum) {
        return Err(malformed("it does not match its checksum"));
    }
    Ok(head[MAGIC.len() + 8..].to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
