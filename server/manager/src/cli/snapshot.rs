//! Backups on the command line: `save` asks a manager, `inspect` and `restore` work on files.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use http_body_util::BodyExt;
use krakend_domain::Digest;
use krakend_raft::{
    BackupContents, BackupMeta, ManagerNode, RestoreOrder, read_backup, verify_backup,
};
use krakend_storage::BackupFile;
use serde_json::{Value, json};

use super::{Output, client::ApiClient, offline};
use crate::clock;

/// Writing a large state takes a manager a while before its first byte.
const HEAD_WITHIN: Duration = Duration::from_secs(300);
const PIECE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Subcommand)]
pub enum Snapshot {
    /// Save everything that the group keeps to a file (admin only)
    Save {
        file: PathBuf,
        /// Replace the file when it exists
        #[arg(long)]
        force: bool,
        /// Take it from a manager that has no leader, as it is there
        #[arg(long)]
        stale: bool,
    },
    /// Verify a backup and show what is in it; needs no running manager
    Inspect { file: PathBuf },
    /// Make an empty data directory a group of one with a backup's content; needs no running manager
    Restore {
        file: PathBuf,
        #[command(flatten)]
        place: offline::Place,
        /// The new epoch, higher than any that nodes have obeyed [default: the backup's and one]
        #[arg(long)]
        epoch: Option<u64>,
    },
}

/// Saves a backup from a running manager.
pub async fn save(
    client: &ApiClient,
    (file, force, stale): (&Path, bool, bool),
    output: Output,
) -> anyhow::Result<()> {
    let path = match stale {
        true => "/v1/snapshot?consistency=stale",
        false => "/v1/snapshot",
    };
    // Before anything is asked for: a name that is taken should cost nothing.
    let mut target = BackupFile::create(file, force)?;
    let answer = client.open(path, HEAD_WITHIN).await?;
    let mut body = answer.into_body();
    while let Some(piece) = tokio::time::timeout(PIECE_WITHIN, body.frame())
        .await
        .context("the manager sends nothing any more; the backup is not kept")?
    {
        let piece = piece.context("the connection ended early; the backup is not kept")?;
        if let Some(bytes) = piece.data_ref() {
            target
                .write_all(bytes)
                .with_context(|| format!("writing {}", target.path().display()))?;
        }
    }
    // Read back and verified before it gets its name.
    let (meta, written) = verify_backup(target.path()).context("what arrived is not kept")?;
    target.publish(force)?;
    let value = head(&meta, file, written.bytes, written.sha256);
    output.print(&value, |_| {
        format!(
            "{}: {} bytes, group {}, epoch {}, index {}",
            file.display(),
            written.bytes,
            meta.group_id,
            meta.epoch,
            meta.index
        )
    })
}

/// Verifies a backup and prints what is in it.
pub fn inspect(file: &Path, output: Output) -> anyhow::Result<()> {
    show(&read_backup(file)?, file, output)
}

fn head(meta: &BackupMeta, file: &Path, bytes: u64, sha256: [u8; 32]) -> Value {
    json!({
        "file": file.display().to_string(),
        "bytes": bytes,
        "sha256": Digest(sha256).to_string(),
        "group_id": meta.group_id,
        "epoch": meta.epoch,
        "generation": meta.generation,
        "index": meta.index,
        "term": meta.term,
        "time": clock::rfc3339(meta.time_ms),
        "version": meta.version,
        "managers": meta.managers,
    })
}

fn show(contents: &BackupContents, file: &Path, output: Output) -> anyhow::Result<()> {
    let meta = &contents.meta;
    // The licence as it stood then: when the backup is used, time will tell.
    let license = contents.state.license_status(meta.time_ms);
    let level = &license.limits.level;
    if output != Output::Table {
        let kinds: serde_json::Map<_, _> = contents
            .kinds
            .iter()
            .map(|(kind, size)| {
                let size = json!({ "count": size.count, "bytes": size.bytes });
                ((*kind).to_owned(), size)
            })
            .collect();
        let mut value = head(meta, file, contents.bytes, contents.sha256);
        value["license_level"] = level.clone().into();
        value["max_nodes"] = license.limits.max_nodes.into();
        value["kinds"] = kinds.into();
        return output.print(&value, |_| String::new());
    }
    println!("File        {}, {} bytes", file.display(), contents.bytes);
    println!("SHA-256     {}, verified", Digest(contents.sha256));
    println!("Group       {}, epoch {}", meta.group_id, meta.epoch);
    println!(
        "Position    index {}, term {}, generation {}",
        meta.index, meta.term, meta.generation
    );
    println!("Time        {}", clock::rfc3339(meta.time_ms));
    println!(
        "Managers    {} (version {})",
        meta.managers.join(", "),
        meta.version
    );
    println!("Licence     {level}, {} nodes", license.limits.max_nodes);
    println!("\n{}", super::tables::backup_kinds(&contents.kinds));
    Ok(())
}

/// Restores a backup into an empty data directory.
pub async fn restore(
    (file, epoch): (&Path, Option<u64>),
    place: &offline::Place,
    output: Output,
) -> anyhow::Result<()> {
    let settings = place.settings()?;
    let node = ManagerNode {
        name: settings.name.clone(),
        raft_address: settings.advertised(&settings.listen_managers),
        node_address: settings.advertised(&settings.listen_nodes),
        http_address: settings.advertised(&settings.listen_http),
    };
    if place.data_dir.is_none() && place.settings.is_none() {
        bail!("name the data directory with --data-dir, or the manager's settings with --settings");
    }
    let contents = read_backup(file)?;
    let order = RestoreOrder {
        node,
        epoch,
        now_ms: clock::now_ms(),
    };
    let founded = krakend_raft::restore(contents, file, &settings.data_dir, order).await?;
    offline::tell("restored", &founded, &settings, output)
}
