//! The audit trail: every write by a person or a program, and what the group did by itself that people ask about.

use std::sync::Arc;

use super::{ClusterState, Transaction, told};
use crate::{
    Applied, AuditActor, AuditAnchor, AuditBroken, AuditRecord, AuditVia, Command, Digest,
    NodeState, RecordKey, Rejected, audit::cut,
};

/// Programs below it would not know the records.
const LEVEL: u32 = 5;

impl ClusterState {
    /// The trail, oldest first.
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = &Arc<AuditRecord>> {
        self.audit.values()
    }

    /// The trail's records before a log index, newest first.
    pub fn audit_before(&self, index: u64) -> impl Iterator<Item = &Arc<AuditRecord>> {
        self.audit.range(..index).rev().map(|(_, record)| record)
    }

    /// The trail from a log index on, oldest first.
    pub fn audit_from(&self, index: u64) -> impl Iterator<Item = &Arc<AuditRecord>> {
        self.audit.range(index..).map(|(_, record)| record)
    }

    /// Hash of the record before a log index.
    pub fn audit_hash_before(&self, index: u64) -> Digest {
        let before = self.audit.get_prev(&index.saturating_sub(1));
        before.map_or(self.audit_anchor.hash, |(_, record)| record.hash)
    }

    /// How many records the trail has.
    pub fn audit_len(&self) -> usize {
        self.audit.len()
    }

    /// What came before the oldest record.
    pub fn audit_anchor(&self) -> &AuditAnchor {
        &self.audit_anchor
    }

    /// Hash of the newest record.
    pub fn audit_head(&self) -> Digest {
        let newest = self.audit.get_max();
        newest.map_or(self.audit_anchor.hash, |(_, record)| record.hash)
    }

    /// Computes the chain anew. The hash of its end.
    ///
    /// # Errors
    /// The first record that does not follow from the one before it.
    pub fn audit_verify(&self) -> Result<Digest, AuditBroken> {
        let mut previous = self.audit_anchor.hash;
        for record in self.audit.values() {
            let computed = record.chained(&previous);
            if computed != record.hash {
                return Err(AuditBroken {
                    index: record.index,
                    says: record.hash,
                    computed,
                });
            }
            previous = computed;
        }
        Ok(previous)
    }
}

impl Transaction<'_> {
    /// Runs a command of a caller, and writes it down unless it changed nothing.
    pub(super) fn apply_audited(
        &mut self,
        actor: &AuditActor,
        command: &Command,
    ) -> Result<Applied, Rejected> {
        // Wrappers do not nest the other way about: a key is looked up before anything is done.
        let command = command.plain();
        let told = told::before(self.state, command);
        let result = self.run(command)?;
        let nothing = result == Applied::Unchanged
            || matches!(result, Applied::Registered { fresh: false, .. });
        if !nothing && self.state.meta.feature_level >= LEVEL {
            let told = told.after(self.state, command, &result, self.now);
            self.write_down(actor, told);
        }
        Ok(result)
    }

    /// Runs a command that nobody asked for. What people will ask about is written down, too.
    pub(super) fn run_unasked(&mut self, command: &Command) -> Result<Applied, Rejected> {
        if self.state.meta.feature_level < LEVEL || !is_asked_about(command) {
            return self.run(command);
        }
        let leader = self.state.meta.leader;
        let leader = leader.and_then(|(id, _)| self.state.managers.get(&id));
        let actor = AuditActor {
            token_id: None,
            name: leader.map_or("a manager".into(), |it| it.name.clone()),
            role: None,
            address: None,
            via: AuditVia::Manager,
            request: String::new(),
            action: None,
        };
        self.apply_audited(&actor, command)
    }

    fn write_down(&mut self, actor: &AuditActor, told: told::Told) {
        let asked_for = actor.action.clone();
        let actor = AuditActor {
            name: cut(&actor.name),
            request: cut(&actor.request),
            action: None,
            ..actor.clone()
        };
        let mut record = AuditRecord {
            index: self.index,
            time_ms: self.now,
            action: asked_for.unwrap_or(told.action),
            subject: cut(&told.subject),
            fleet: told.fleet,
            actor,
            idempotency_key: self.key.take().map(|key| cut(&key)),
            before: told.before.as_deref().map(cut),
            after: told.after.as_deref().map(cut),
            hash: Digest::default(),
        };
        record.hash = record.chained(&self.state.audit_head());
        self.state.audit.insert(self.index, Arc::new(record));
        self.changed(RecordKey::Audit(self.index));
        self.forget_audit();
    }

    fn forget_audit(&mut self) {
        while self.state.audit.len() > AuditRecord::MAX_KEPT {
            let Some((index, oldest)) = self.state.audit.get_min().cloned() else {
                break;
            };
            self.state.audit.remove(&index);
            self.state.audit_anchor.dropped += 1;
            self.state.audit_anchor.hash = oldest.hash;
            self.changed_quietly(RecordKey::Audit(index));
            self.changed_quietly(RecordKey::AuditAnchor);
        }
    }
}

fn is_asked_about(command: &Command) -> bool {
    match command {
        Command::SetNodeState { to, .. } => matches!(to, NodeState::Down | NodeState::Removed),
        Command::LeaveNode { .. }
        | Command::NodeLeft { .. }
        | Command::RegisterNode(_)
        | Command::EnrollNode { .. }
        | Command::EnrollManager { .. }
        | Command::ChangeManager { .. }
        | Command::RaiseFeatureLevel { .. }
        | Command::BeginEpoch(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
