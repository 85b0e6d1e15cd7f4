use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use krakend_domain::Sample;
use krakend_proto::{decode_sample, encode_sample};
use uuid::Uuid;

use crate::disk::{self, DiskError};

const EXTENSION: &str = "sample";
const CHECKSUM_BYTES: usize = 4;

/// Sequences, and the bytes of their files.
pub type Files = BTreeMap<u64, u64>;

pub fn name(seq: u64) -> String {
    format!("{seq}.{EXTENSION}")
}

/// The file's bytes.
pub fn write(directory: &Path, sample: &Sample) -> Result<u64, DiskError> {
    let body = encode_sample(sample);
    let mut bytes = crc32fast::hash(&body).to_le_bytes().to_vec();
    bytes.extend(body);
    disk::write(&directory.join(name(sample.seq)), &bytes, disk::PLAIN)?;
    Ok(bytes.len() as u64)
}

/// The sample's bytes as they travel, or why the file is worth nothing.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let (checksum, body) = bytes
        .split_at_checked(CHECKSUM_BYTES)
        .ok_or("it is cut off")?;
    if crc32fast::hash(body).to_le_bytes() != checksum {
        return Err("its checksum does not match".into());
    }
    decode_sample(body).map_err(|error| error.to_string())?;
    Ok(body.to_vec())
}

/// What earlier runs left, the oldest run first.
pub fn scan(directory: &Path) -> Result<VecDeque<(Uuid, Files)>, DiskError> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory).map_err(DiskError::at(directory))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(stream) = name.to_str().and_then(|name| Uuid::parse_str(name).ok()) else {
            continue;
        };
        let seqs = sequences(&entry.path());
        if seqs.is_empty() {
            let _ = std::fs::remove_dir_all(entry.path());
            continue;
        }
        found.push((began_ms(&entry.path(), &seqs), stream, seqs));
    }
    found.sort_by_key(|(began, stream, _)| (*began, *stream));
    let streams = found.into_iter().map(|(_, stream, seqs)| (stream, seqs));
    Ok(streams.collect())
}

/// What a crash left half written goes.
fn sequences(directory: &Path) -> Files {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let seq = |path: &Path| -> Option<u64> {
        let known = path
            .extension()
            .is_some_and(|extension| extension == EXTENSION);
        known.then(|| path.file_stem()?.to_str()?.parse().ok())?
    };
    let file = |entry: std::fs::DirEntry| match seq(&entry.path()) {
        Some(seq) => Some((seq, entry.metadata().map_or(0, |facts| facts.len()))),
        None => {
            let _ = std::fs::remove_file(entry.path());
            None
        }
    };
    entries.filter_map(file).collect()
}

/// When the run's first readable sample began.
fn began_ms(directory: &Path, seqs: &Files) -> u64 {
    let mut samples = seqs.keys().filter_map(|seq| {
        let bytes = read(&directory.join(name(*seq))).ok()?;
        decode_sample(&bytes).ok()
    });
    samples.next().map_or(0, |sample| sample.start_ms)
}
