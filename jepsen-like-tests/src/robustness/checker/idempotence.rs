use std::collections::HashMap;

use super::Finding;
use crate::robustness::history::{Action, Operation, Outcome, Seen};

/// A token as a manager lists it at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Listed {
    pub name: String,
    pub id: String,
}

/// Tokens made with an Idempotency-Key, read at the end from every manager: the same everywhere, each acknowledged one there
/// exactly once, an open one at most once, a failed one not at all.
pub fn idempotence(lists: &[Vec<Listed>], operations: &[Operation]) -> Finding {
    const CHECK: &str = "idempotent";
    let Some(list) = lists.first() else {
        return Finding::fail(CHECK, "no manager listed its tokens", Vec::new());
    };
    let mut complaints = Vec::new();
    for (at, other) in lists.iter().enumerate().skip(1) {
        if other != list {
            let text = format!("manager-1 and manager-{} list different tokens", at + 1);
            complaints.push((text, Vec::new()));
        }
    }
    let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
    for token in list {
        by_name.entry(&token.name).or_default().push(&token.id);
    }
    let mut looked_at = 0_usize;
    for operation in operations {
        let Action::CreateToken { name } = &operation.action else {
            continue;
        };
        looked_at += 1;
        let found = by_name.get(name.as_str()).map_or(0, Vec::len);
        let allowed = match &operation.outcome {
            Outcome::Ok(_) => 1..=1,
            Outcome::Failed(_) | Outcome::Conflict => 0..=0,
            Outcome::Indeterminate(_) | Outcome::Unexpected(_) => 0..=1,
        };
        if !allowed.contains(&found) {
            let text = format!("{name} (operation {}) was made {found} times", operation.id);
            complaints.push((text, vec![operation.id]));
        }
    }
    Finding::of(CHECK, format!("{looked_at} writes"), complaints)
}

/// The answer to a retry names what the first attempt made.
pub fn replayed(lists: &[Vec<Listed>], operations: &[Operation]) -> Finding {
    let mut complaints = Vec::new();
    let mut looked_at = 0_usize;
    for operation in operations {
        let Outcome::Ok(Seen::Token { id, again }) = &operation.outcome else {
            continue;
        };
        looked_at += 1;
        let known = lists
            .first()
            .is_some_and(|list| list.iter().any(|token| token.id == *id));
        if !known {
            let text = format!(
                "operation {}: the answer names a token that does not exist",
                operation.id
            );
            complaints.push((text, vec![operation.id]));
        } else if again.as_ref().is_some_and(|again| again != id) {
            let text = format!(
                "operation {}: the same request was answered with two tokens",
                operation.id
            );
            complaints.push((text, vec![operation.id]));
        }
    }
    Finding::of(
        "replayed-answers",
        format!("{looked_at} answers"),
        complaints,
    )
}
