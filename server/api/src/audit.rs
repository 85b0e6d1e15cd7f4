use serde::{Deserialize, Serialize};

use crate::Role;

/// One write, as the append-only audit trail keeps it. Refused requests are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Log index of the entry that did it; the record's id.
    pub index: u64,
    pub time: String,
    /// What was done, stable and kebab-case: `publish`, `create-token`.
    pub action: String,
    /// What it was done to, for people: a version, a node's name, a token's name.
    pub subject: String,
    pub fleet: Option<String>,
    pub actor: AuditActor,
    /// `POST /v1/fleets/default/versions`; empty where a manager did it by itself.
    pub request: String,
    pub idempotency_key: Option<String>,
    /// The subject in one line before and after, without secrets.
    pub before: Option<String>,
    pub after: Option<String>,
    /// SHA-256 of the record before this one, lower-case hexadecimal.
    pub previous_hash: String,
    /// SHA-256 of `previous_hash` and this record's content.
    pub hash: String,
}

/// Who did it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// Id of the token; absent where a manager did it by itself.
    pub token_id: Option<String>,
    /// The token's name, or the manager's.
    pub name: String,
    pub role: Option<Role>,
    /// IP address of the caller.
    pub address: Option<String>,
    /// `web`, `api`, or `manager`.
    pub via: String,
}

/// Answer of `GET /v1/audit?fleet=&actor=&action=&from=&to=&q=&limit=&cursor=`: newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditList {
    pub records: Vec<AuditRecord>,
    /// Pass as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
    /// Records in the trail.
    pub total: u64,
    /// Index of the oldest record that is kept.
    pub oldest_index: Option<u64>,
}

/// Answer of `GET /v1/audit/verify`: the chain computed anew, over everything that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerification {
    pub ok: bool,
    pub records: u64,
    pub from_index: Option<u64>,
    pub to_index: Option<u64>,
    /// Hash of the newest record: write it down elsewhere, and a later trail must contain it.
    pub head: Option<String>,
    pub verified_at: String,
    /// Where and how the chain breaks.
    pub problem: Option<String>,
}
