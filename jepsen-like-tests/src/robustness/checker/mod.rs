//! What must hold, looked for in the histories alone. Every check gives a [`Finding`] by name.

mod agreement;
mod chain;
mod idempotence;
mod leases;
pub mod linearizability;
pub mod register;
mod seats;
mod stale;
#[cfg(test)]
mod tests;
mod unavailable;
mod watch;

pub use agreement::agreement;
pub use chain::{Chains, Link, chain};
pub use idempotence::{Listed, idempotence, replayed};
pub use leases::{LeaseEnd, Leases, Look, leases};
pub use seats::{Shown, Told, seats, stories};
pub use stale::stale_reads;
pub use unavailable::longest_unavailable_ms;
pub use watch::{Stream, watch};

use std::collections::BTreeSet;

use linearizability::{Budget, Verdict};

use super::history::{Operation, Outcome};

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub ok: bool,
    /// What was wrong, or what was looked at.
    pub detail: String,
    /// Operations that show it.
    pub operations: Vec<usize>,
}

impl Finding {
    /// It holds.
    pub fn pass(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            ok: true,
            detail: detail.into(),
            operations: Vec::new(),
        }
    }

    /// It does not hold.
    pub fn fail(check: &'static str, detail: impl Into<String>, operations: Vec<usize>) -> Self {
        Self {
            check,
            ok: false,
            detail: detail.into(),
            operations,
        }
    }

    /// Passes when there are no complaints; otherwise shows the first five.
    pub(super) fn of(
        check: &'static str,
        looked_at: String,
        complaints: Vec<(String, Vec<usize>)>,
    ) -> Self {
        if complaints.is_empty() {
            return Self::pass(check, looked_at);
        }
        let count = complaints.len();
        let (texts, operations): (Vec<_>, Vec<_>) = complaints.into_iter().take(5).unzip();
        let more = if count > 5 {
            format!("; and {} more", count - 5)
        } else {
            String::new()
        };
        Self::fail(
            check,
            format!("{}{more}", texts.join("; ")),
            operations.concat(),
        )
    }
}

const LINEARIZABLE: &str = "linearizable";

/// Whether the history of every register is linearizable. A history of many registers is exactly when each one's is
/// (Herlihy and Wing, 1990), so each key is searched by itself; the first that is not is shown.
pub fn linearizable(operations: &[Operation], budget: Budget) -> Finding {
    let keys: BTreeSet<usize> = operations
        .iter()
        .filter_map(|operation| operation.action.key())
        .collect();
    let mut looked_at = 0;
    for key in &keys {
        match one_register(*key, operations, budget) {
            Ok(count) => looked_at += count,
            Err(finding) => return finding,
        }
    }
    let detail = format!("{looked_at} operations on {} keys", keys.len());
    Finding::pass(LINEARIZABLE, detail)
}

/// How many operations have an order, or what is wrong.
fn one_register(key: usize, operations: &[Operation], budget: Budget) -> Result<usize, Finding> {
    let (ids, history): (Vec<_>, Vec<_>) = register::calls(key, operations).into_iter().unzip();
    match linearizability::check(&register::Register, &history, budget) {
        Verdict::Linearizable => Ok(ids.len()),
        Verdict::Unknown { reason } => {
            let detail = format!("key {key} unknown: {reason}");
            Err(Finding::fail(LINEARIZABLE, detail, Vec::new()))
        }
        Verdict::Violation {
            stuck,
            concurrent,
            state,
        } => {
            let mut marked = vec![ids[stuck]];
            marked.extend(concurrent.iter().map(|at| ids[*at]));
            let detail = format!(
                "key {key}: operation {} ({:?}) fits no order, the longest one found ends in {state}",
                ids[stuck], history[stuck].call
            );
            Err(Finding::fail(LINEARIZABLE, detail, marked))
        }
    }
}

/// Whether every answer was one that the API promises.
pub fn answers(operations: &[Operation]) -> Finding {
    let wrong = operations
        .iter()
        .filter_map(|operation| match &operation.outcome {
            Outcome::Unexpected(text) => {
                let text = format!(
                    "operation {} on manager-{}: {text}",
                    operation.id,
                    operation.manager + 1
                );
                Some((text, vec![operation.id]))
            }
            _ => None,
        });
    Finding::of(
        "answers",
        format!("{} operations", operations.len()),
        wrong.collect(),
    )
}
