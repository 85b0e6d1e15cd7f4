use std::io;

use krakend_storage::{LogPosition, SnapshotFile, SnapshotFiles};
use openraft::RaftSnapshotBuilder;

use super::shared::Current;
use crate::{
    codec, rt,
    types::{Snapshot, SnapshotMeta, TypeConfig},
};

/// Writes one frozen state to a file while the living one goes on.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    frozen: Current,
    files: SnapshotFiles,
}

impl SnapshotBuilder {
    pub(super) fn new(frozen: Current, files: SnapshotFiles) -> Self {
        Self { frozen, files }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let frozen = self.frozen.clone();
        let files = self.files.clone();
        rt::spawn_background("snapshot", move || build(&frozen, &files)).await?
    }
}

/// Blocks. Durable on return.
pub(crate) fn build(frozen: &Current, files: &SnapshotFiles) -> io::Result<Snapshot> {
    let meta = SnapshotMeta {
        last_log_id: frozen.last_applied,
        last_membership: frozen.membership.clone(),
    };
    let position = frozen
        .last_applied
        .as_ref()
        .map_or(LogPosition { term: 0, index: 0 }, codec::position);
    let started = std::time::Instant::now();
    let file = files.write(position, &codec::encode(&meta)?, frozen.state.records())?;
    tracing::info!(
        index = position.index,
        bytes = file.bytes,
        took_ms = started.elapsed().as_millis() as u64,
        "wrote a snapshot"
    );
    Ok(Snapshot {
        meta,
        snapshot: file,
    })
}
