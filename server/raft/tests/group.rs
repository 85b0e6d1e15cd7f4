//! Three managers on loopback in one process.

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use krakend_raft::{FormError, ProposeError, RaftRole, SnapshotSettings};
use support::*;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_managers_form_one_group_and_any_of_them_takes_writes() {
    let managers = group(3, SnapshotSettings::default()).await;
    let groups: BTreeSet<_> = managers.iter().map(|it| it.handle().group_id()).collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    let group_id = groups.into_iter().next().flatten().unwrap();
    propose(&managers[0].handle(), bootstrap(group_id)).await;
    for (n, manager) in managers.iter().enumerate() {
        let written = propose(&manager.handle(), write(n as u64)).await;
        for reader in &managers {
            let view = reader.handle().linearizable(soon()).await.unwrap();
            assert_eq!(value(&view.state), Some(n as u64));
            assert!(view.applied_index >= written.index);
        }
    }
    let leads = leader(&managers).await;
    let status = managers[leads].handle().status();
    assert_eq!(status.role, RaftRole::Leader);
    assert_eq!(status.members.len(), 3);
    assert!(status.members.iter().all(|it| it.voter));
    stop_all(managers).await;
}
