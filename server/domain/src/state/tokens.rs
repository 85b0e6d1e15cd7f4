//! API tokens and join tokens.

use super::Transaction;
use crate::{
    Applied, EventKind, FleetName, JoinRole, JoinTokenRecord, RecordKey, Rejected, Role, TokenId,
    TokenRecord, TokenScope,
};

const MAX_TOKENS: usize = 10_000;

impl Transaction<'_> {
    pub(super) fn apply_create_token(&mut self, record: &TokenRecord) -> Result<Applied, Rejected> {
        if self.state.tokens.len() >= MAX_TOKENS {
            return Err(too_many("tokens"));
        }
        self.state.tokens.insert(record.id, record.clone());
        self.changed(RecordKey::Token(record.id));
        let text = format!("{} created the token {}", record.created_by, record.name);
        self.event(EventKind::TokenCreated, text);
        Ok(Applied::TokenCreated {
            id: record.id,
            expires_ms: record.expires_ms,
        })
    }

    pub(super) fn apply_create_scoped_token(
        &mut self,
        record: &TokenRecord,
        scope: &TokenScope,
    ) -> Result<Applied, Rejected> {
        let unknown = |name: &&FleetName| !self.state.fleets.contains_key(*name);
        if let Some(name) = scope.fleets.iter().find(unknown) {
            return Err(Rejected::NoSuchFleet(name.clone()));
        }
        let created = self.apply_create_token(record)?;
        self.state.token_scopes.insert(record.id, scope.clone());
        self.changed(RecordKey::TokenScope(record.id));
        Ok(created)
    }

    pub(super) fn apply_revoke_token(
        &mut self,
        id: TokenId,
        by: &str,
    ) -> Result<Applied, Rejected> {
        if self.state.join_tokens.remove(&id).is_some() {
            self.changed(RecordKey::JoinToken(id));
            self.event(
                EventKind::TokenRevoked,
                format!("{by} revoked a join token"),
            );
            return Ok(Applied::Done);
        }
        let token = self.state.tokens.get(&id).ok_or(Rejected::NoSuchToken)?;
        let others = self.state.tokens.values().filter(|other| {
            other.role == Role::Admin && other.id != id && other.expires_ms.is_none()
        });
        if token.role == Role::Admin && others.count() == 0 {
            return Err(Rejected::LastAdminToken);
        }
        let name = token.name.clone();
        self.state.tokens.remove(&id);
        self.changed(RecordKey::Token(id));
        if self.state.token_scopes.remove(&id).is_some() {
            self.changed(RecordKey::TokenScope(id));
        }
        self.event(
            EventKind::TokenRevoked,
            format!("{by} revoked the token {name}"),
        );
        Ok(Applied::Done)
    }

    pub(super) fn apply_create_join_token(
        &mut self,
        record: &JoinTokenRecord,
    ) -> Result<Applied, Rejected> {
        if self.state.join_tokens.len() >= MAX_TOKENS {
            return Err(too_many("join tokens"));
        }
        if !self.state.fleets.contains_key(&record.fleet) {
            return Err(Rejected::NoSuchFleet(record.fleet.clone()));
        }
        self.state.join_tokens.insert(record.id, record.clone());
        self.changed(RecordKey::JoinToken(record.id));
        let text = match record.role {
            JoinRole::Node => format!(
                "{} created a join token for fleet {}",
                record.created_by, record.fleet
            ),
            JoinRole::Manager => format!("{} invited a manager", record.created_by),
        };
        self.event(EventKind::TokenCreated, text)
            .fleet(&record.fleet);
        Ok(Applied::TokenCreated {
            id: record.id,
            expires_ms: Some(record.expires_ms),
        })
    }
}

fn too_many(what: &str) -> Rejected {
    Rejected::TooMany {
        what: what.into(),
        limit: MAX_TOKENS as u64,
    }
}
