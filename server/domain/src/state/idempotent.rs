//! A retry after a time-out does not do it twice.

use std::sync::Arc;

use super::Transaction;
use crate::{Applied, Command, Digest, IdempotencyRecord, RecordKey, Rejected};

impl Transaction<'_> {
    pub(super) fn apply_idempotent(
        &mut self,
        key: &str,
        request: &Digest,
        command: &Command,
    ) -> Result<Applied, Rejected> {
        if let Some(first) = self.state.idempotency.get(key) {
            let forgotten = self.now.saturating_sub(first.at_ms) >= IdempotencyRecord::KEEP_MS;
            if !forgotten && first.request != *request {
                return Err(Rejected::IdempotencyKeyReused { index: first.index });
            }
            if !forgotten {
                return Ok(Applied::Replayed {
                    index: first.index,
                    result: Box::new(first.result.clone()),
                });
            }
        }
        // Commands do not nest: a wrapped wrapper is answered as its inner command.
        let own = key.split_once(':').map_or(key, |(_, own)| own);
        self.key = Some(own.into());
        let result = match command {
            Command::Idempotent { command, .. } => self.run(command),
            command => self.run(command),
        };
        let record = IdempotencyRecord {
            request: *request,
            index: self.index,
            at_ms: self.now,
            result: result.clone(),
        };
        if let Some(old) = self.state.idempotency.insert(key.into(), Arc::new(record)) {
            self.state.idempotency_age.remove(&(old.at_ms, old.index));
            self.changed(RecordKey::IdempotencyAge(old.at_ms, old.index));
        }
        let age = (self.now, self.index);
        self.state.idempotency_age.insert(age, key.into());
        self.changed(RecordKey::Idempotency(key.into()));
        self.changed(RecordKey::IdempotencyAge(age.0, age.1));
        self.forget_idempotency_keys();
        result
    }
}
