use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Digest, FleetName, Millis, Role, TokenId};

/// One write in the append-only trail. What was refused changed nothing and is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Log index of the entry that did it.
    pub index: u64,
    pub time_ms: Millis,
    /// Stable and kebab-case: `publish`, `create-token`.
    pub action: String,
    /// What it was done to, for people.
    pub subject: String,
    pub fleet: Option<FleetName>,
    pub actor: AuditActor,
    pub idempotency_key: Option<String>,
    /// The subject in one line, without secrets.
    pub before: Option<String>,
    pub after: Option<String>,
    /// SHA-256 of the hash before this one and of all the rest.
    pub hash: Digest,
}

/// Who did it, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// `None` where a manager did it by itself.
    pub token_id: Option<TokenId>,
    /// The token's name, or the manager's.
    pub name: String,
    pub role: Option<Role>,
    /// IP address of the caller.
    pub address: Option<String>,
    pub via: AuditVia,
    /// `POST /v1/fleets/default/versions`; empty where nobody asked.
    pub request: String,
    /// What was asked for where the command alone does not say it: a publication that is a rollback.
    pub action: Option<String>,
}

/// The way by which a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditVia {
    /// A browser's session.
    Web,
    Api,
    /// Nobody asked: the group's own doing.
    Manager,
}

impl AuditVia {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
            Self::Manager => "manager",
        }
    }
}

/// What came before the oldest record that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditAnchor {
    /// Records that are not kept any more.
    pub dropped: u64,
    /// Hash of the last of them; zeros where there is none.
    pub hash: Digest,
}

/// Where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record of log index {index} does not follow from what is before it: it says {says}, {computed} was computed"
)]
pub struct AuditBroken {
    pub index: u64,
    pub says: Digest,
    pub computed: Digest,
}

impl AuditRecord {
    /// Newest records that are kept.
    pub const MAX_KEPT: usize = 100_000;
    /// Longest of each text that a caller gives, in bytes.
    pub const MAX_TEXT: usize = 256;

    /// SHA-256 over netstrings (`length:text,`) of the hash before it in hexadecimal and the record's fields as the API
    /// shows them, times in milliseconds; what is absent is `-` alone. So that anybody can compute it from an export.
    pub fn chained(&self, previous: &Digest) -> Digest {
        let mut hash = Sha256::new();
        let mut put = |text: Option<&str>| match text {
            Some(text) => {
                hash.update(text.len().to_string());
                hash.update(b":");
                hash.update(text);
                hash.update(b",");
            }
            None => hash.update(b"-"),
        };
        let actor = &self.actor;
        put(Some(&previous.to_string()));
        put(Some(&self.index.to_string()));
        put(Some(&self.time_ms.to_string()));
        put(Some(&self.action));
        put(Some(&self.subject));
        put(self.fleet.as_ref().map(FleetName::as_str));
        put(actor.token_id.map(|id| id.to_string()).as_deref());
        put(Some(&actor.name));
        put(actor.role.map(role));
        put(actor.address.as_deref());
        put(Some(actor.via.as_str()));
        put(Some(&actor.request));
        put(self.idempotency_key.as_deref());
        put(self.before.as_deref());
        put(self.after.as_deref());
        Digest(hash.finalize().into())
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// Cuts what a caller gave, so that one write cannot fill the trail.
pub(crate) fn cut(text: &str) -> String {
    if text.len() <= AuditRecord::MAX_TEXT && !text.contains(char::is_control) {
        return text.into();
    }
    let line = text.replace(char::is_control, " ");
    match line
        .char_indices()
        .find(|(at, _)| *at >= AuditRecord::MAX_TEXT)
    {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
