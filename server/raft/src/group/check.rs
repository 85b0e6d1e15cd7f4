//! Do the managers have the same state? Now and then the leader writes an entry at which each of them takes the hash
//! of its whole state, and compares. A minority that differs is quarantined: it gives no reads, does not lead, and
//! rebuilds its state from the others at its next start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Weak,
    time::Duration,
};

use krakend_domain::Command;
use krakend_storage::{FileError, write_atomic};

use super::{AlarmKind, Inner};
use crate::{
    network::{HashReply, HashRequest},
    rt::{self, Instant},
    store::StateHash,
    types::{Member, MemberId},
};

/// In the data directory of a quarantined manager, with the reason.
const MARK: &str = "diverged.txt";
const PROPOSE_WITHIN: Duration = Duration::from_secs(10);
/// A large state takes some seconds to hash.
const HASH_WITHIN: Duration = Duration::from_secs(30);
const ASK_WITHIN: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Whether this manager was found to differ before it was stopped.
pub(super) fn is_marked(dir: &Path) -> bool {
    mark(dir).exists()
}

/// Its state was thrown away, so it differs no more.
pub(super) fn unmark(dir: &Path) -> Result<(), FileError> {
    let path = mark(dir);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(FileError {
            action: "remove",
            path,
            source,
        }),
        _ => Ok(()),
    }
}

fn mark(dir: &Path) -> PathBuf {
    dir.join(MARK)
}

/// Compares every so often, whenever this manager leads.
pub(super) async fn run(inner: Weak<Inner>, every: Duration) {
    loop {
        rt::sleep(every).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.is_leader() {
            inner.compare_states().await;
        }
    }
}

impl Inner {
    pub(crate) async fn compare_states(&self) {
        let deadline = Instant::now() + PROPOSE_WITHIN;
        let index = match self.propose(Command::CheckState, deadline).await {
            Ok(done) => done.index,
            Err(error) => return tracing::debug!(%error, "the states are not compared this time"),
        };
        let status = self.status();
        let voters = status.members.iter().filter(|it| it.voter).count();
        let asked = status.members.iter().filter_map(|it| {
            let id = MemberId(it.id);
            self.known(id).map(|member| (id, member))
        });
        let hashes = self.hashes_at(asked.collect(), index).await;
        let mut counts: BTreeMap<StateHash, usize> = BTreeMap::new();
        for (_, _, hash) in &hashes {
            *counts.entry(*hash).or_default() += 1;
        }
        if counts.len() <= 1 {
            return self.agree(index, hashes.len());
        }
        let Some((right, _)) = counts.iter().find(|(_, count)| **count > voters / 2) else {
            let message = format!(
                "the managers' states differ at entry {index}, and no majority has the same: take a backup of each data directory, then restore one"
            );
            tracing::error!("{message}");
            return self.alarms.raise(AlarmKind::StatesDiffer, message);
        };
        for (id, member, hash) in &hashes {
            if hash != right {
                self.tell_diverged(*id, member, index, *right).await;
            }
        }
    }

    fn agree(&self, index: u64, asked: usize) {
        tracing::debug!(index, asked, "the managers' states are the same");
        self.alarms.clear(AlarmKind::StatesDiffer);
    }

    /// Whoever does not answer in time is left out.
    async fn hashes_at(
        &self,
        members: Vec<(MemberId, Member)>,
        index: u64,
    ) -> Vec<(MemberId, Member, StateHash)> {
        let asked = members.into_iter().map(|(id, member)| async move {
            let until = Instant::now() + HASH_WITHIN;
            while Instant::now() < until {
                if let Some(hash) = self.hash_of(id, &member, index, None).await {
                    return Some((id, member, hash));
                }
                rt::sleep(ASK_EVERY).await;
            }
            None
        });
        let answers = futures::future::join_all(asked).await;
        answers.into_iter().flatten().collect()
    }

    async fn hash_of(
        &self,
        id: MemberId,
        member: &Member,
        index: u64,
        right: Option<StateHash>,
    ) -> Option<StateHash> {
        let request = HashRequest { index, right };
        if id == self.local.id() {
            return self.handle_hash(request).await.hash;
        }
        let answer: Result<HashReply, _> = self
            .peers
            .ask(
                &member.node.raft_address,
                Some((id, member.store_id)),
                &request,
                ASK_WITHIN,
                |mut client, request| async move { client.state_hash(request).await },
            )
            .await;
        answer.ok()?.hash
    }

    async fn tell_diverged(&self, id: MemberId, member: &Member, index: u64, right: StateHash) {
        tracing::error!(
            manager = %id,
            name = member.node.name,
            index,
            "the state of this manager differs from the majority's: it is quarantined"
        );
        self.alarms.raise(
            AlarmKind::StatesDiffer,
            format!(
                "the state of manager {} ({id}) differs from the majority's at entry {index}: it is quarantined; restart it, and it rebuilds its state from the others",
                member.node.name
            ),
        );
        // One that does not hear it is told again after the next comparison.
        let _ = self.hash_of(id, member, index, Some(right)).await;
    }

    /// For the leader: our hash, and whether that is the right one.
    pub(crate) async fn handle_hash(&self, request: HashRequest) -> HashReply {
        let hash = self.shared.checks.at(request.index);
        if let (Some(mine), Some(right)) = (hash, request.right)
            && mine != right
        {
            self.quarantine(request.index).await;
        }
        HashReply { hash }
    }

    async fn quarantine(&self, index: u64) {
        let message = format!(
            "the state of this manager differs from the majority's at entry {index}: it gives no reads and does not lead; restart it, and it rebuilds its state from the others"
        );
        let path = mark(self.local.data_dir());
        let text = format!("{message}\n");
        let marked = rt::spawn_blocking(move || write_atomic(&path, text.as_bytes())).await;
        if let Ok(Err(error)) = marked {
            tracing::error!(%error, "the quarantine does not outlive a restart");
        }
        tracing::error!("{message}");
        self.alarms.raise(AlarmKind::StateDiverged, message);
        self.raft.runtime_config().elect(false);
        if self.is_leader()
            && let Some(successor) = self.successor()
            && let Err(error) = self.transfer(successor).await
        {
            tracing::error!(%error, "the leadership could not be handed over");
        }
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.alarms.is_raised(AlarmKind::StateDiverged)
    }
}
