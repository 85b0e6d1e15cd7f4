use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use super::{CLOSING, END, FORMAT, MAGIC, MAX_FIELD_BYTES, MAX_META_BYTES};

/// Speed matters more than size: a leader writes this while it serves.
const LEVEL: i32 = 1;

/// Writes one backup to anything, record by record; it keeps no more than a compression window in memory.
pub struct BackupWriter<W: Write> {
    body: zstd::Encoder<'static, Hashed<W>>,
    count: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenBackup {
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
}

impl<W: Write> BackupWriter<W> {
    /// Writes the head. What `meta` means is the caller's.
    pub fn begin(out: W, meta: &[u8]) -> io::Result<Self> {
        let length = length_of("metadata", meta, MAX_META_BYTES)?;
        let mut head = Vec::with_capacity(super::FIXED_HEAD_BYTES + meta.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(meta);
        let checksum = crc32fast::hash(&head);
        head.extend_from_slice(&checksum.to_le_bytes());
        let mut out = Hashed {
            out,
            hash: Sha256::new(),
            bytes: 0,
        };
        out.write_all(&head)?;
        Ok(Self {
            body: zstd::Encoder::new(out, LEVEL)?,
            count: 0,
        })
    }

    /// Adds one record. The caller keeps the order.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let key_bytes = length_of("a key", key, MAX_FIELD_BYTES)?;
        let value_bytes = length_of("a value", value, MAX_FIELD_BYTES)?;
        self.body.write_all(&key_bytes.to_le_bytes())?;
        self.body.write_all(&value_bytes.to_le_bytes())?;
        self.body.write_all(key)?;
        self.body.write_all(value)?;
        self.count += 1;
        Ok(())
    }

    /// Completes the backup and hands the output back; flushing or fsyncing that is the caller's.
    pub fn finish(mut self) -> io::Result<(W, WrittenBackup)> {
        self.body.write_all(&END.to_le_bytes())?;
        self.body.write_all(&self.count.to_le_bytes())?;
        let mut out = self.body.finish()?;
        out.write_all(CLOSING)?;
        let digest = out.hash.clone().finalize();
        out.write_all(&digest)?;
        let written = WrittenBackup {
            bytes: out.bytes,
            sha256: out.hash.finalize().into(),
        };
        Ok((out.out, written))
    }
}

fn length_of(what: &str, bytes: &[u8], limit: u32) -> io::Result<u32> {
    let length = u32::try_from(bytes.len()).ok();
    length.filter(|length| *length <= limit).ok_or_else(|| {
        io::Error::other(format!(
            "{what} of {} bytes is beyond the {limit} that a backup holds",
            bytes.len()
        ))
    })
}

/// Counts and digests what passes.
struct Hashed<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.out.write(piece)?;
        self.hash.update(&piece[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
