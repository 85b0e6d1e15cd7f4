use std::sync::Weak;

use openraft::async_runtime::WatchReceiver;

use super::{AlarmKind, Inner, open::SnapshotSettings};
use crate::rt::{self, Instant};

/// Has Raft write a snapshot after so many bytes of log or after so long, on every manager by itself.
pub(super) async fn run(inner: Weak<Inner>, settings: SnapshotSettings) {
    let mut look = rt::interval(settings.look_every);
    let mut last = Mark::default();
    loop {
        look.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        look_for_damaged(&inner).await;
        let Ok(summary) = inner.log.summary().await else {
            return;
        };
        let (applied, snapshot, purged) = {
            let metrics = inner.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.last_applied, metrics.snapshot, metrics.purged)
        };
        let Some(since) = last.at else {
            last = Mark {
                at: Some(Instant::now()),
                bytes: summary.end_offset,
            };
            // A log that was cut beyond the newest file has nothing to give to a follower that is behind.
            if purged > snapshot && inner.raft.trigger().snapshot().await.is_err() {
                return;
            }
            continue;
        };
        let written = summary.end_offset.saturating_sub(last.bytes);
        let due = written >= settings.every_bytes || since.elapsed() >= settings.every;
        if !due || applied <= snapshot {
            continue;
        }
        if inner.raft.trigger().snapshot().await.is_err() {
            return;
        }
        last = Mark {
            at: Some(Instant::now()),
            bytes: summary.end_offset,
        };
    }
}

/// What was set aside wants to be looked at and then deleted; until then the alarm stays.
async fn look_for_damaged(inner: &Inner) {
    let (dir, files) = (inner.local.data_dir().to_owned(), inner.files.clone());
    let found = rt::spawn_blocking(move || {
        let mut found = krakend_storage::set_aside_dirs(&dir).unwrap_or_default();
        found.extend(files.damaged().unwrap_or_default());
        found
    });
    let found = found.await.unwrap_or_default();
    if found.is_empty() {
        return inner.alarms.clear(AlarmKind::DamagedFiles);
    }
    let names: Vec<_> = found.iter().map(|it| it.display().to_string()).collect();
    inner.alarms.raise(
        AlarmKind::DamagedFiles,
        format!(
            "damaged files were found and set aside; check this machine's disk and memory, then delete {}",
            names.join(", ")
        ),
    );
}

/// Where the log stood at the last snapshot.
#[derive(Default)]
struct Mark {
    at: Option<Instant>,
    bytes: u64,
}
