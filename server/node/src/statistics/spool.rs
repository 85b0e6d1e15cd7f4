//! Samples on disk until a manager has committed them: `statistics/<stream>/<seq>.sample`.
//!
//! A file is a CRC-32 (little endian) and the sample's bytes as they travel.

mod file;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use krakend_domain::Sample;
use tokio::sync::watch;
use uuid::Uuid;

use crate::disk::{self, DiskError};

/// More samples than these push the oldest out: at 10 s each, more than a day without a manager.
const MAX_SAMPLES: usize = 10_000;
/// The same for their bytes: with many endpoints a sample is large.
const MAX_SPOOL_BYTES: u64 = 256 << 20;
const MAX_BATCH_SAMPLES: usize = 64;
const MAX_BATCH_BYTES: usize = 256 * 1024;

pub type SpoolError = DiskError;

/// Samples of one stream, in order, as one message carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub stream: Uuid,
    pub through_seq: u64,
    pub samples: Vec<Vec<u8>>,
}

/// Each stream's samples: sequence, and bytes of the file.
type Streams = VecDeque<(Uuid, file::Files)>;

/// See the module.
pub struct Spool {
    directory: PathBuf,
    limit: usize,
    limit_bytes: u64,
    /// Samples that will never be sent.
    dropped: AtomicU64,
    /// Oldest stream first.
    streams: Mutex<Streams>,
    /// Samples that wait.
    waiting: watch::Sender<usize>,
}

impl Spool {
    /// Finds what earlier runs left.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        Self::with_limits(directory, MAX_SAMPLES, MAX_SPOOL_BYTES)
    }

    fn with_limits(directory: &Path, limit: usize, limit_bytes: u64) -> Result<Self, SpoolError> {
        disk::make_directory(directory)?;
        let streams = file::scan(directory)?;
        let waiting = streams.iter().map(|(_, seqs)| seqs.len()).sum();
        Ok(Self {
            directory: directory.into(),
            limit,
            limit_bytes,
            dropped: AtomicU64::new(0),
            streams: Mutex::new(streams),
            waiting: watch::Sender::new(waiting),
        })
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        bytes(&self.lock())
    }

    /// Samples that were lost in this run: damaged, or pushed out.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many samples wait, now and as it changes.
    pub fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Keeps a sample. Returns after it is on disk.
    pub fn put(&self, stream: Uuid, sample: &Sample) -> Result<(), SpoolError> {
        let mut streams = self.lock();
        let of_stream = self.directory.join(stream.to_string());
        disk::make_directory(&of_stream)?;
        let bytes = file::write(&of_stream, sample)?;
        match streams.iter_mut().find(|(id, _)| *id == stream) {
            Some((_, seqs)) => {
                seqs.insert(sample.seq, bytes);
            }
            None => streams.push_back((stream, file::Files::from([(sample.seq, bytes)]))),
        }
        self.drop_oldest(&mut streams);
        self.count(&streams);
        Ok(())
    }

    /// The oldest samples that wait. Files that cannot be read are named in the log and removed.
    pub fn next_batch(&self) -> Option<Batch> {
        let mut streams = self.lock();
        while let Some((stream, seqs)) = streams.front_mut() {
            let batch = self.read_batch(*stream, seqs);
            if batch.is_some() {
                self.count(&streams);
                return batch;
            }
            self.remove_stream(*stream);
            streams.pop_front();
        }
        self.count(&streams);
        None
    }

    /// A manager has committed the stream up to this sequence.
    pub fn acknowledge(&self, stream: Uuid, through_seq: u64) {
        let mut streams = self.lock();
        if let Some((_, seqs)) = streams.iter_mut().find(|(id, _)| *id == stream) {
            let left = seqs.split_off(&through_seq.saturating_add(1));
            for (seq, _) in std::mem::replace(seqs, left) {
                self.remove(stream, seq);
            }
        }
        // The running stream's directory is made again by its next sample.
        streams.retain(|(id, seqs)| {
            if seqs.is_empty() {
                self.remove_stream(*id);
            }
            !seqs.is_empty()
        });
        self.count(&streams);
    }

    fn read_batch(&self, stream: Uuid, seqs: &mut file::Files) -> Option<Batch> {
        let mut samples = Vec::new();
        let (mut through_seq, mut bytes) = (0, 0);
        for seq in seqs.keys().copied().collect::<Vec<_>>() {
            let path = self.path(stream, seq);
            let sample = match file::read(&path) {
                Ok(sample) => sample,
                Err(reason) => {
                    tracing::warn!("the sample {} is skipped: {reason}", path.display());
                    seqs.remove(&seq);
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    self.remove(stream, seq);
                    continue;
                }
            };
            bytes += sample.len();
            let full = samples.len() == MAX_BATCH_SAMPLES || bytes > MAX_BATCH_BYTES;
            if full && !samples.is_empty() {
                break;
            }
            samples.push(sample);
            through_seq = seq;
        }
        (!samples.is_empty()).then_some(Batch {
            stream,
            through_seq,
            samples,
        })
    }

    fn drop_oldest(&self, streams: &mut Streams) {
        let mut samples: usize = streams.iter().map(|(_, seqs)| seqs.len()).sum();
        let mut bytes = bytes(streams);
        // The newest stays, however large it is.
        while samples > 1 && (samples > self.limit || bytes > self.limit_bytes) {
            let Some((stream, seqs)) = streams.front_mut() else {
                return;
            };
            if let Some((seq, length)) = seqs.pop_first() {
                samples -= 1;
                bytes = bytes.saturating_sub(length);
                if self
                    .dropped
                    .fetch_add(1, Ordering::Relaxed)
                    .is_multiple_of(360)
                {
                    tracing::warn!(
                        "the oldest statistics samples are dropped: {samples} of {bytes} bytes wait for a manager"
                    );
                }
                self.remove(*stream, seq);
            }
            if seqs.is_empty() {
                self.remove_stream(*stream);
                streams.pop_front();
            }
        }
    }

    fn path(&self, stream: Uuid, seq: u64) -> PathBuf {
        self.directory
            .join(stream.to_string())
            .join(file::name(seq))
    }

    fn remove(&self, stream: Uuid, seq: u64) {
        // One that stays is sent again, and the manager knows its sequence.
        if let Err(error) = std::fs::remove_file(self.path(stream, seq)) {
            tracing::debug!("sample {stream}/{seq} is not removed: {error}");
        }
    }

    fn remove_stream(&self, stream: Uuid) {
        let _ = std::fs::remove_dir(self.directory.join(stream.to_string()));
    }

    fn count(&self, streams: &Streams) {
        let now = streams.iter().map(|(_, seqs)| seqs.len()).sum();
        self.waiting.send_if_modified(|count| {
            let changed = *count != now;
            *count = now;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(streams: &Streams) -> u64 {
    let files = streams.iter().flat_map(|(_, seqs)| seqs.values());
    files.sum()
}
