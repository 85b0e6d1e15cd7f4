//! A snapshot from another manager, for one whose state, snapshot and log do not meet any more: log and vote are good,
//! so it keeps its id, but the entries before the log's beginning are nowhere on its disk.

use std::time::Duration;

use krakend_proto::manager::{Reply, manager_peer_client::ManagerPeerClient};
use krakend_storage::{LogPosition, SnapshotFile, SnapshotFiles};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Inner;
use crate::{
    codec,
    network::{Dialer, FetchRequest, Local, MAX_MESSAGE_BYTES, PIECE_BYTES, envelope},
    rt,
    store::{LogStore, build_snapshot},
    types::SnapshotMeta,
};

const RETRY: Duration = Duration::from_secs(1);
/// One attempt may take this long; the transfer of a large state needs its time.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(600);
/// Attempts between two lines in the log.
const SAY_EVERY: u32 = 5;
/// Pieces that wait to be sent.
const PIECES: usize = 4;

/// Fetches a snapshot that reaches to `at_least`, from whoever has one, and waits for as long as nobody has.
pub(super) async fn fetch(
    dialer: &Dialer,
    local: &Local,
    files: &SnapshotFiles,
    others: &[String],
    at_least: u64,
) -> SnapshotFile {
    let mut attempts = 0u32;
    loop {
        let mut reasons = Vec::new();
        for address in others {
            let attempt = fetch_from(dialer, local, files, address, at_least);
            match rt::timeout(ATTEMPT_WITHIN, attempt).await {
                Ok(Ok(file)) => {
                    tracing::info!(
                        index = file.position.index,
                        bytes = file.bytes,
                        "fetched a snapshot from {address}"
                    );
                    return file;
                }
                Ok(Err(reason)) => reasons.push(format!("{address}: {reason}")),
                Err(_) => reasons.push(format!("{address}: it took more than {ATTEMPT_WITHIN:?}")),
            }
        }
        if attempts.is_multiple_of(SAY_EVERY) {
            tracing::error!(
                ?reasons,
                "neither state nor snapshot reach to where the log begins (entry {at_least}): waiting for another manager to give a snapshot"
            );
        }
        attempts = attempts.wrapping_add(1);
        rt::sleep(RETRY).await;
    }
}

async fn fetch_from(
    dialer: &Dialer,
    local: &Local,
    files: &SnapshotFiles,
    address: &str,
    at_least: u64,
) -> Result<SnapshotFile, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let channel = dialer.connect(address).await.map_err(|it| text(&it))?;
    let mut client = ManagerPeerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let question =
        envelope(local.handshake(None), &FetchRequest { at_least }).map_err(|it| text(&it))?;
    let said = |status: Status| status.message().to_owned();
    let mut pieces = client
        .fetch_snapshot(question)
        .await
        .map_err(said)?
        .into_inner();
    let head = pieces.message().await.map_err(said)?.ok_or("no answer")?;
    let meta: SnapshotMeta = codec::decode(&head.payload).map_err(|it| text(&it))?;
    let position = meta.last_log_id.as_ref().map(codec::position);
    let position = position
        .filter(|it| it.index >= at_least)
        .ok_or("its snapshot does not reach far enough")?;
    let mut incoming = files.receive().map_err(|it| text(&it))?;
    while let Some(piece) = pieces.message().await.map_err(said)? {
        incoming.write(&piece.payload).map_err(|it| text(&it))?;
    }
    let files = files.clone();
    rt::spawn_blocking(move || files.accept(incoming, position))
        .await
        .map_err(|it| text(&it))?
        .map_err(|it| text(&it))
}

/// Cuts what the log holds beyond its committed entries, where the snapshot says that another entry was committed
/// there: a leader that lost its place had written them, and nobody has acknowledged them.
pub(super) async fn reconcile(
    log: &LogStore,
    snapshot: LogPosition,
) -> Result<(), krakend_storage::LogError> {
    let at = log.read(snapshot.index, snapshot.index + 1, 0).await?;
    if at.first().is_some_and(|entry| entry.position != snapshot) {
        let summary = log.summary().await?;
        log.truncate_after(summary.committed.max(summary.purged))
            .await?;
    }
    Ok(())
}

impl Inner {
    /// Our newest snapshot, or a new one where that does not reach far enough.
    pub(crate) async fn handle_fetch(
        &self,
        request: FetchRequest,
    ) -> Result<ReceiverStream<Result<Reply, Status>>, Status> {
        let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
        if self.is_quarantined() {
            return Err(Status::failed_precondition(
                "the state of this manager differs from the majority's",
            ));
        }
        let _one = self
            .fetches
            .try_acquire()
            .map_err(|_| Status::unavailable("a snapshot is being given to another manager"))?;
        let (files, shared) = (self.files.clone(), self.shared.clone());
        let give = move || {
            if let Some(newest) = files.newest_verified(drop)?
                && newest.position.index >= request.at_least
            {
                return Ok(Some(newest));
            }
            let frozen = shared.read().clone();
            let applied = frozen.last_applied.map_or(0, |it| it.index);
            if applied < request.at_least {
                return Ok(None);
            }
            build_snapshot(&frozen, &files).map(|it| Some(it.snapshot))
        };
        let given: std::io::Result<Option<SnapshotFile>> =
            rt::spawn_blocking(give).await.map_err(|it| internal(&it))?;
        let file = given.map_err(|it| internal(&it))?.ok_or_else(|| {
            Status::failed_precondition(format!(
                "this manager has not applied entry {} either",
                request.at_least
            ))
        })?;
        send(file).await.map_err(|it| internal(&it))
    }
}

async fn send(file: SnapshotFile) -> std::io::Result<ReceiverStream<Result<Reply, Status>>> {
    let meta = krakend_storage::SnapshotReader::open(&file.path)?
        .meta()
        .to_vec();
    let mut content = rt::File::open(&file.path).await?;
    let (sender, receiver) = mpsc::channel(PIECES);
    rt::spawn(async move {
        let mut payload = meta;
        loop {
            let piece = Reply {
                payload: std::mem::take(&mut payload).into(),
                ..Reply::default()
            };
            if sender.send(Ok(piece)).await.is_err() {
                return;
            }
            let piece = (&mut content).take(PIECE_BYTES as u64);
            match { piece }.read_to_end(&mut payload).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    return drop(sender.send(Err(Status::internal(error.to_string()))).await);
                }
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}
