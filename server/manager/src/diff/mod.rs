//! What is different between two KrakenD documents, as an operator says it. Pure: documents in, changes out.

mod endpoints;
mod text;
mod values;

#[cfg(test)]
mod tests;

use krakend_api::{ChangeKind, ConfigurationChange};
use serde_json::Value;

pub use text::unified;
pub use values::{Hider, is_secret};

/// A structural difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub endpoints_added: u32,
    pub endpoints_changed: u32,
    pub endpoints_removed: u32,
    /// Endpoints by path and method, then what is outside of them by JSON pointer.
    pub changes: Vec<ConfigurationChange>,
}

/// By endpoint and backend, then what is outside of endpoints. Layout, the order of keys and the order of endpoints
/// do not count; the order of an endpoint's backends does.
pub fn structural(old: &Value, new: &Value) -> Difference {
    let mut changes = endpoints::compare(old, new);
    let counted = |kind| changes.iter().filter(|it| it.kind == kind).count() as u32;
    let mut difference = Difference {
        endpoints_added: counted(ChangeKind::Added),
        endpoints_changed: counted(ChangeKind::Changed),
        endpoints_removed: counted(ChangeKind::Removed),
        changes: Vec::new(),
    };
    changes.extend(outside(old, new));
    difference.changes = changes;
    difference
}

fn outside(old: &Value, new: &Value) -> Vec<ConfigurationChange> {
    let leaves = values::compare_fields(old, new, &["endpoints"]);
    leaves
        .into_iter()
        .map(|leaf| ConfigurationChange {
            kind: leaf.kind(),
            subject: leaf.pointer(),
            method: None,
            endpoint: None,
            details: vec![leaf.values()],
        })
        .collect()
}
