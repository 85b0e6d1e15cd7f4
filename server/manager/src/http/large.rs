//! Documents that are too large for one log entry: proposed in pieces, then published by one entry.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use krakend_domain::{Chunk, Command, Publication};
use uuid::Uuid;

use super::problem::Failure;
use crate::app::App;

const PIECE_WITHIN: Duration = Duration::from_secs(10);
/// Pieces on their way at the same time.
const AT_ONCE: usize = 4;

/// A publication ready to be proposed, and what has to be forgotten when it is not taken.
pub struct Prepared {
    pub command: Command,
    upload: Option<Uuid>,
}

/// Stages the body in pieces where it is too large for the entry itself.
pub async fn prepare(app: &App, publication: Publication) -> Result<Prepared, Failure> {
    if publication.body.len() <= Chunk::MAX_BYTES {
        return Ok(Prepared {
            command: Command::Publish(publication),
            upload: None,
        });
    }
    // In a box of its own: it is large, and seldom needed.
    Box::pin(stage(app, publication)).await
}

async fn stage(app: &App, publication: Publication) -> Result<Prepared, Failure> {
    let upload = Uuid::new_v4();
    let body = publication.body.clone();
    let parts = u32::try_from(body.len().div_ceil(Chunk::MAX_BYTES)).unwrap_or(u32::MAX);
    let pieces = (0..parts).map(|part| {
        let start = part as usize * Chunk::MAX_BYTES;
        let end = body.len().min(start + Chunk::MAX_BYTES);
        let chunk = Chunk {
            upload,
            part,
            parts,
            bytes: body.slice(start..end),
        };
        let deadline = Instant::now() + PIECE_WITHIN * (1 + part / AT_ONCE as u32);
        app.group.propose(Command::StageChunk(chunk), deadline)
    });
    let staged = stream::iter(pieces)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| std::future::ready(Ok(())));
    let prepared = Prepared {
        command: Command::PublishStaged {
            upload,
            publication: Publication {
                body: bytes::Bytes::new(),
                ..publication
            },
        },
        upload: Some(upload),
    };
    if let Err(error) = staged.await {
        discard(app, prepared.upload).await;
        return Err(error.into());
    }
    Ok(prepared)
}

impl Prepared {
    /// The upload, for [`discard`].
    pub fn upload(&self) -> Option<Uuid> {
        self.upload
    }
}

/// Forgets what was staged for a publication that was not taken. Where that fails, time does it.
pub async fn discard(app: &App, upload: Option<Uuid>) {
    if let Some(upload) = upload {
        let deadline = Instant::now() + PIECE_WITHIN;
        let dropped = app.group.propose(Command::DropStaged { upload }, deadline);
        let dropped = Box::pin(dropped).await;
        if let Err(error) = dropped {
            tracing::debug!("the pieces of a document stay until they run out: {error}");
        }
    }
}
