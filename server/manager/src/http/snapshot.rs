//! Backups over HTTP: written to a file without a name first, so that neither the state's memory nor a slow reader is
//! paid for twice, then streamed at the reader's pace.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use krakend_domain::Digest;
use krakend_raft::{BackupMeta, Frozen, WrittenBackup};
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;

use super::{
    access::Admin,
    problem::Failure,
    read::{Read, view},
};
use crate::app::App;

/// Backups that are written or sent at the same time, over all callers. Each costs a file as large as itself.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
const PIECE_BYTES: usize = 64 * 1024;

/// A backup in a file that has no name any more: gone when it is closed, or when the process ends.
struct Spooled {
    file: File,
    meta: BackupMeta,
    written: WrittenBackup,
}

pub async fn save(
    State(app): State<App>,
    Admin(caller): Admin,
    read: Read,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let permit = AT_ONCE.try_acquire().map_err(|_| {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "other backups are being read from this manager: try again when they are done, or ask another manager",
        )
    })?;
    view(&app, &read, &[]).await?;
    let frozen = app.group.frozen();
    let Some(meta) = frozen.meta() else {
        return Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-formed",
            "the group has not formed yet, so there is nothing to back up",
        ));
    };
    let dir = app.settings.data_dir.clone();
    let spooled = tokio::task::spawn_blocking(move || spool(&dir, &frozen, meta)).await;
    let spooled = spooled.map_err(|error| failed(&error.to_string()))?;
    let spooled = spooled.map_err(|error| failed(&error.to_string()))?;
    tracing::info!(
        "{} reads a backup of {} bytes, index {}",
        caller.name,
        spooled.written.bytes,
        spooled.meta.index
    );
    let answer = head(&spooled, &app)?;
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some() && known == answer.get(header::ETAG) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    let file = tokio::fs::File::from_std(spooled.file);
    let pieces = ReaderStream::with_capacity(file, PIECE_BYTES).map(move |piece| {
        // Held until the last piece is sent or the reader is gone.
        let _held = &permit;
        piece
    });
    Ok((answer, Body::from_stream(pieces)).into_response())
}

fn spool(dir: &Path, frozen: &Frozen, meta: BackupMeta) -> io::Result<Spooled> {
    let path = dir.join(format!("backup-{}.part", uuid::Uuid::new_v4().simple()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    let (out, written) = frozen.write(BufWriter::new(file), &meta)?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Spooled {
        file,
        meta,
        written,
    })
}

fn failed(reason: &str) -> Failure {
    Failure::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "backup-not-written",
        format!(
            "the backup could not be written to this manager's data directory: {reason}. Make room there, or ask another manager"
        ),
    )
}

fn head(spooled: &Spooled, app: &App) -> Result<HeaderMap, Failure> {
    let meta = &spooled.meta;
    let sha256 = Digest(spooled.written.sha256);
    let lines: [(HeaderName, String); 7] = [
        (header::CONTENT_TYPE, "application/octet-stream".into()),
        (header::CONTENT_LENGTH, spooled.written.bytes.to_string()),
        (header::ETAG, format!("\"{sha256}\"")),
        (
            HeaderName::from_static("content-digest"),
            format!("sha-256=:{}:", STANDARD.encode(sha256.0)),
        ),
        (
            header::CONTENT_DISPOSITION,
            format!(
                "attachment; filename=\"{}\"",
                crate::backups::file_name(meta)
            ),
        ),
        (
            HeaderName::from_static("x-cluster-index"),
            meta.index.to_string(),
        ),
        (
            HeaderName::from_static("x-cluster-leader"),
            app.group
                .leadership()
                .borrow()
                .leader
                .map(|id| id.to_string())
                .unwrap_or_default(),
        ),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::try_from(value).map_err(|error| failed(&error.to_string()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}
