//! Two documents side by side as text.

use std::time::Duration;

use serde_json::Value;

/// Beyond so many bytes of both together only three lines around a change are given.
const WHOLE_BYTES: usize = 2 << 20;
/// Where a difference is not found by then it becomes a coarser one.
const WITHIN: Duration = Duration::from_secs(2);

/// Unified diff of the indented documents with sorted keys. Empty where nothing differs.
pub fn unified(old: &Value, new: &Value, names: (&str, &str), context: Option<usize>) -> String {
    let (old, new) = (pretty(old), pretty(new));
    if old == new {
        return String::new();
    }
    let whole = match old.len() + new.len() {
        0..=WHOLE_BYTES => old.lines().count().max(new.lines().count()),
        _ => 3,
    };
    let mut config = similar::TextDiff::configure();
    let diff = config.timeout(WITHIN).diff_lines(&old, &new);
    let mut text = diff.unified_diff();
    text.context_radius(context.unwrap_or(whole));
    text.header(names.0, names.1).to_string()
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(value)).unwrap_or_default();
    text.push('\n');
    text
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|a, b| a.0.cmp(b.0));
            let fields = keys.into_iter().map(|(k, v)| (k.clone(), sorted(v)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
