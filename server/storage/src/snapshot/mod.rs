//! Snapshot files: a whole state, streamed, compressed, checksummed, replaced only as a whole.
//!
//! Layout: magic, format version, length and bytes of the caller's metadata, CRC-32 of all that; then one zstd
//! frame with records as length-prefixed key and value, an end mark, their number and the CRC-32 of the content.

mod files;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use files::{IncomingSnapshot, SnapshotFile, SnapshotFiles};
pub use reader::SnapshotReader;
pub use writer::SnapshotWriter;

const MAGIC: &[u8; 8] = b"KRKNSNAP";
const FORMAT: u32 = 1;
/// In the place of a key's length: no more records.
const END: u32 = u32::MAX;
/// Longest key or value that is believed, in bytes.
const MAX_FIELD_BYTES: u32 = 64 * 1024 * 1024;
