//! Backup files: a whole state for operators, streamed, compressed, and verified before a byte of it is believed.
//!
//! Layout: magic, format version, length and bytes of the caller's metadata, CRC-32 of all that; one zstd frame with
//! records as length-prefixed key and value, an end mark and their number; then a closing mark and the SHA-256 of
//! everything before it. The closing mark tells a file that was cut from one that was changed. Unlike a
//! [`crate::SnapshotFiles`] snapshot, which never leaves its group, a backup says where it comes from.

mod file;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use file::{BackupFile, TargetError};
pub use reader::{BackupError, BackupReader};
pub use writer::{BackupWriter, WrittenBackup};

const MAGIC: &[u8; 8] = b"KRKNBKUP";
const FORMAT: u32 = 1;
/// In the place of a key's length: no more records.
const END: u32 = u32::MAX;
/// Comes before the digest.
const CLOSING: &[u8; 8] = b"KRKNBEND";
const DIGEST_BYTES: usize = 32;
const TAIL_BYTES: usize = CLOSING.len() + DIGEST_BYTES;
/// Magic, format, length of the metadata, its CRC-32.
const FIXED_HEAD_BYTES: usize = 20;
/// Longest metadata that is believed, in bytes.
const MAX_META_BYTES: u32 = 1024 * 1024;
/// Longest key or value that is believed, in bytes.
const MAX_FIELD_BYTES: u32 = 64 * 1024 * 1024;
