use std::{io, sync::Arc};

use futures::{Stream, StreamExt};
use krakend_domain::{ClusterState, Command, LogEntry};
use krakend_storage::{SnapshotFile, SnapshotFiles, SnapshotReader, failpoint};
use openraft::{
    EntryPayload, OptionalSend,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};

use super::{
    Shared, WriteBehind,
    shared::{Current, Unwritten},
    snapshot::{SnapshotBuilder, build as build_snapshot},
};
use crate::{
    codec, rt,
    types::{Answer, Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};

/// Answers that are kept back until others are ready.
const ANSWERS: usize = 64;

/// Applies entries to the state in memory, and answers from there; the disk follows behind.
#[derive(Debug)]
pub(crate) struct StateMachine {
    shared: Arc<Shared>,
    behind: Arc<WriteBehind>,
    files: SnapshotFiles,
}

impl StateMachine {
    pub(crate) fn new(shared: Arc<Shared>, behind: Arc<WriteBehind>, files: SnapshotFiles) -> Self {
        Self {
            shared,
            behind,
            files,
        }
    }

    /// Everything up to `last` is applied.
    fn answer(&self, last: u64, answers: &mut Vec<(ApplyResponder<TypeConfig>, Answer)>) {
        self.shared.publish_applied(last);
        for (responder, answer) in answers.drain(..) {
            responder.send(answer);
        }
    }

    fn apply_entry(&self, entry: Entry) -> io::Result<Answer> {
        let index = entry.log_id.index;
        let command = match &entry.payload {
            EntryPayload::Normal(payload) => Some(decode_entry(index, &payload.0)?),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        };
        failpoint::reach("apply");
        let mut current = self.shared.write();
        current.last_applied = Some(entry.log_id);
        current.unwritten.any = true;
        if let EntryPayload::Membership(membership) = entry.payload {
            let membership = StoredMembership::new(Some(entry.log_id), membership);
            let before = std::mem::replace(&mut current.membership, membership);
            let gone: Vec<_> = before
                .nodes()
                .filter(|(id, _)| current.membership.membership().get_node(id).is_none())
                .map(|(id, _)| id.0)
                .collect();
            let changed = current.state.members_gone(gone);
            current.unwritten.keys.extend(changed);
        }
        let Some(command) = command else {
            return Ok(Answer::None);
        };
        #[cfg(any(test, feature = "planted-bugs"))]
        let command = crate::planted::understood(&current.state, command);
        #[cfg(any(test, feature = "planted-bugs"))]
        if crate::planted::has(crate::planted::Bug::ApplyTwice) && index.is_multiple_of(8) {
            current.state.apply(index, &command);
        }
        let outcome = current.state.apply(index, &command);
        current.unwritten.keys.extend(outcome.changed);
        let to_check =
            matches!(command.command, Command::CheckState).then(|| current.state.clone());
        drop(current);
        if let Some(frozen) = to_check {
            self.shared.checks.begin(index, frozen);
        }
        self.shared.publish_events(index, outcome.events);
        Ok(Answer::Command(outcome.result))
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let current = self.shared.read();
        Ok((current.last_applied, current.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        // Answers go out together: one by one, each would wake a thread.
        let mut answers = Vec::new();
        let mut last = None;
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let index = entry.log_id.index;
            #[cfg(test)]
            let applying = crate::simulation::applying(&entry);
            let answer = self.apply_entry(entry)?;
            #[cfg(test)]
            crate::simulation::applied(applying, &answer, &self.shared);
            failpoint::reach("applied");
            answers.extend(responder.map(|it| (it, answer)));
            if answers.len() >= ANSWERS {
                self.answer(index, &mut answers);
            }
            last = Some(index);
        }
        if let Some(last) = last {
            self.answer(last, &mut answers);
        }
        self.behind.wake();
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder::new(self.shared.read().clone(), self.files.clone())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let files = self.files.clone();
        let read = rt::spawn_blocking(move || {
            // The file comes first: the log may be purged as soon as this returns.
            let file = files.adopt(&snapshot)?;
            read_state(&file)
        });
        let (found, state) = read.await.map_err(io::Error::other)??;
        if found != *meta {
            return Err(io::Error::other(format!(
                "the snapshot file holds {found}, not {meta}"
            )));
        }
        failpoint::reach("install-adopted");
        *self.shared.write() = Current {
            state,
            last_applied: meta.last_log_id,
            membership: meta.last_membership.clone(),
            unwritten: Unwritten {
                everything: true,
                any: true,
                ..Unwritten::default()
            },
        };
        self.shared
            .publish_applied(meta.last_log_id.map_or(0, |it| it.index));
        failpoint::reach("installed");
        self.behind.wake();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let (frozen, files) = (self.shared.read().clone(), self.files.clone());
        rt::spawn_blocking(move || current_snapshot(&frozen, &files))
            .await
            .map_err(io::Error::other)?
    }
}

/// A command that this version does not know must stop it: whoever skips one diverges.
fn decode_entry(index: u64, bytes: &[u8]) -> io::Result<LogEntry> {
    codec::decode(bytes).map_err(|error| {
        let reason = format!(
            "entry {index} of the log holds a command that this version cannot read ({error}): run the version that wrote it, or a newer one"
        );
        io::Error::new(error.kind(), reason)
    })
}

/// The newest snapshot, verified before anybody gets it. Where that one turns out damaged the next must not take its
/// place, since the log may begin behind it: a new one is built from the state.
fn current_snapshot(frozen: &Current, files: &SnapshotFiles) -> io::Result<Option<Snapshot>> {
    let Some(newest) = files.newest()? else {
        return Ok(None);
    };
    let found = files.newest_verified(drop)?;
    let applied = frozen.last_applied.map_or(0, |it| it.index);
    if found.as_ref() != Some(&newest) && applied >= newest.position.index {
        return build_snapshot(frozen, files).map(Some);
    }
    let Some(file) = found else { return Ok(None) };
    let meta = codec::decode(SnapshotReader::open(&file.path)?.meta())?;
    Ok(Some(Snapshot {
        meta,
        snapshot: file,
    }))
}

/// Reads a whole snapshot; nothing of it counts before its last checksum is verified.
pub(crate) fn read_state(file: &SnapshotFile) -> io::Result<(SnapshotMeta, ClusterState)> {
    let mut reader = SnapshotReader::open(&file.path)?;
    let meta = codec::decode(reader.meta())?;
    let mut failure = None;
    let records = std::iter::from_fn(|| match reader.next()? {
        Ok(record) => Some(record),
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let state = ClusterState::from_records(records);
    if let Some(error) = failure {
        return Err(error.into());
    }
    let state = state.map_err(io::Error::other)?;
    Ok((meta, state))
}
