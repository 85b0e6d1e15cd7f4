//! The other managers as they were last known, in a file of its own: whom to ask when log and state are gone.

use std::{fs, path::Path, sync::Weak};

use openraft::async_runtime::WatchReceiver;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Inner;
use crate::rt;

const FILE: &str = "known-managers.json";
const FORMAT: u32 = 1;
/// More members than any group has.
const MOST: usize = 64;

/// A hint: who answers at an address proves its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownManager {
    pub id: Uuid,
    pub raft_address: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    managers: Vec<KnownManager>,
}

/// Nothing where there is no such file, or none that can be read: it is only a hint.
pub(super) fn read(dir: &Path) -> Vec<KnownManager> {
    let content = fs::read(dir.join(FILE)).unwrap_or_default();
    match serde_json::from_slice::<File>(&content) {
        Ok(file) if file.format == FORMAT => file.managers,
        _ => Vec::new(),
    }
}

/// Addresses of everybody but `me` and `own`: the configured peers first, then those that were known.
pub(super) fn others(peers: &[String], known: &[KnownManager], me: Uuid, own: &str) -> Vec<String> {
    let known = known.iter().filter(|it| it.id != me);
    let mut addresses: Vec<String> = Vec::new();
    for address in peers.iter().chain(known.map(|it| &it.raft_address)) {
        if address != own && !addresses.contains(address) && addresses.len() < MOST {
            addresses.push(address.clone());
        }
    }
    addresses
}

/// Keeps the file in step with the membership for as long as the group is open.
pub(super) async fn keep(inner: Weak<Inner>) {
    let Some(mut metrics) = inner.upgrade().map(|inner| inner.raft.server_metrics()) else {
        return;
    };
    let mut written = Vec::new();
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let now: Vec<KnownManager> = {
            let metrics = metrics.borrow_watched();
            let nodes = metrics.membership_config.nodes();
            let known = nodes.map(|(id, member)| KnownManager {
                id: id.0,
                raft_address: member.node.raft_address.clone(),
            });
            known.take(MOST).collect()
        };
        if !now.is_empty() && now != written {
            write(&inner, now.clone()).await;
            written = now;
        }
        drop(inner);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

async fn write(inner: &Inner, managers: Vec<KnownManager>) {
    let path = inner.local.data_dir().join(FILE);
    let file = File {
        format: FORMAT,
        managers,
    };
    let write = move || {
        let content = serde_json::to_vec_pretty(&file).unwrap_or_default();
        krakend_storage::write_atomic(&path, &content)
    };
    if let Ok(Err(error)) = rt::spawn_blocking(write).await {
        tracing::warn!(%error, "the known managers are not written down");
    }
}
