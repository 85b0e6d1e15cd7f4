use std::{fs, path::Path};

use krakend_domain::EpochCause;
use krakend_storage::{DataDirLock, LogPosition};
use uuid::Uuid;

use super::{
    BackupContents, Founded, OfflineError,
    found::{Base, Heir, found},
};
use crate::types::ManagerNode;

/// What may lie in a directory that counts as empty: the secret, which the manager needs all the same, and what a
/// file system or an attempt that ended early leaves.
const ALLOWED: [&str; 4] = ["group-secret", "lock", "lost+found", "replacement.new"];

/// How a backup is restored.
#[derive(Clone, Debug)]
pub struct RestoreOrder {
    /// How the manager is called and reached.
    pub node: ManagerNode,
    /// The new epoch, where nodes have obeyed a higher one than the backup's; `None`: the backup's and one.
    pub epoch: Option<u64>,
    /// UTC in milliseconds.
    pub now_ms: u64,
}

/// Makes an empty `data_dir` the directory of a new manager, a group of one with the backup's state.
pub async fn restore(
    contents: BackupContents,
    file: &Path,
    data_dir: &Path,
    order: RestoreOrder,
) -> Result<Founded, OfflineError> {
    verify_empty(data_dir)?;
    let _lock = DataDirLock::take(data_dir)?;
    verify_empty(data_dir)?;
    let meta = contents.meta;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let message = format!(
        "restored from {name}: group {}, epoch {}, index {}, term {}",
        meta.group_id, meta.epoch, meta.index, meta.term
    );
    let base = Base {
        state: contents.state,
        position: LogPosition {
            term: meta.term,
            index: meta.index,
        },
        voted_term: 0,
    };
    let heir = Heir {
        manager_id: Uuid::new_v4(),
        node: order.node,
        cause: EpochCause::Restored,
        epoch: order.epoch,
        message,
        now_ms: order.now_ms,
    };
    found(data_dir, base, heir).await
}

fn verify_empty(dir: &Path) -> Result<(), OfflineError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OfflineError::Write(error)),
    };
    for entry in entries {
        let item = entry?.file_name().to_string_lossy().into_owned();
        if !ALLOWED.contains(&&*item) {
            return Err(OfflineError::NotEmpty {
                dir: dir.into(),
                item,
            });
        }
    }
    Ok(())
}
