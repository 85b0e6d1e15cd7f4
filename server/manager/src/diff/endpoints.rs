//! Endpoints are the same when method and path are; backends when method, path and hosts are, then when method and
//! path are.

use std::collections::BTreeMap;

use krakend_api::{ChangeKind, ConfigurationChange};
use serde_json::Value;

use super::values::{compare_fields, equal, short};

/// Path, method, and which one where a document has several of them.
type Key = (String, String, usize);

pub fn compare(old: &Value, new: &Value) -> Vec<ConfigurationChange> {
    let (old, new) = (by_key(old), by_key(new));
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys {
        let (kind, details) = match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) if equal(old, new) => continue,
            (Some(old), Some(new)) => (ChangeKind::Changed, details(old, new)),
            (None, Some(new)) => (ChangeKind::Added, summary(new, "added")),
            (Some(old), None) => (ChangeKind::Removed, summary(old, "removed")),
            (None, None) => continue,
        };
        // Only what counts for nothing differs: the order of keys in an extra part, a method that is the default.
        if details.is_empty() && kind == ChangeKind::Changed {
            continue;
        }
        changes.push(ConfigurationChange {
            kind,
            subject: format!("endpoint {} {}", key.1, key.0),
            method: Some(key.1.clone()),
            endpoint: Some(key.0.clone()),
            details,
        });
    }
    changes
}

fn by_key(document: &Value) -> BTreeMap<Key, &Value> {
    let mut map = BTreeMap::new();
    for endpoint in list(document, "endpoints") {
        let path = text(endpoint, "endpoint").unwrap_or("(no path)").to_owned();
        let method = method(endpoint, "GET");
        let mut key = (path, method, 0);
        while map.contains_key(&key) {
            key.2 += 1;
        }
        map.insert(key, endpoint);
    }
    map
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let items = value.get(key).and_then(Value::as_array);
    items.map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn method(value: &Value, default: &str) -> String {
    let method = text(value, "method").filter(|method| !method.is_empty());
    method.unwrap_or(default).to_ascii_uppercase()
}

/// What an endpoint that came or went calls.
fn summary(endpoint: &Value, word: &str) -> Vec<String> {
    let default = method(endpoint, "GET");
    let backends = list(endpoint, "backend").iter();
    backends
        .map(|it| format!("{} {word}", Backend::of(it, &default).name()))
        .collect()
}

fn details(old: &Value, new: &Value) -> Vec<String> {
    let fields = compare_fields(old, new, &["endpoint", "method", "backend"]);
    let mut lines: Vec<String> = fields.iter().map(|leaf| leaf.line()).collect();
    let default = method(old, "GET");
    let read = |endpoint| -> Vec<Backend<'_>> {
        let backends = list(endpoint, "backend").iter();
        backends.map(|it| Backend::of(it, &default)).collect()
    };
    compare_backends(&read(old), &read(new), &mut lines);
    lines
}

struct Backend<'a> {
    method: String,
    path: &'a str,
    hosts: Vec<&'a str>,
    value: &'a Value,
}

impl<'a> Backend<'a> {
    fn of(value: &'a Value, default: &str) -> Self {
        Self {
            method: method(value, default),
            path: text(value, "url_pattern").unwrap_or("(no url_pattern)"),
            hosts: list(value, "host")
                .iter()
                .filter_map(Value::as_str)
                .collect(),
            value,
        }
    }

    fn name(&self) -> String {
        let of = match self.hosts.is_empty() {
            true => String::new(),
            false => format!(" of {}", self.hosts.join(", ")),
        };
        format!("{}{of}", self.short())
    }

    fn short(&self) -> String {
        format!("backend {} {}", self.method, self.path)
    }

    fn is(&self, other: &Self, hosts_too: bool) -> bool {
        self.method == other.method
            && self.path == other.path
            && (!hosts_too || self.hosts == other.hosts)
    }
}

fn compare_backends(old: &[Backend<'_>], new: &[Backend<'_>], lines: &mut Vec<String>) {
    // For each new one the place of the old one that it was.
    let mut was: Vec<Option<usize>> = vec![None; new.len()];
    for hosts_too in [true, false] {
        for (place, backend) in new.iter().enumerate() {
            if was[place].is_none() {
                was[place] = (0..old.len())
                    .find(|at| !was.contains(&Some(*at)) && old[*at].is(backend, hosts_too));
            }
        }
    }
    for (at, backend) in old.iter().enumerate() {
        if !was.contains(&Some(at)) {
            lines.push(format!("{} removed", backend.name()));
        }
    }
    for (backend, was) in new.iter().zip(&was) {
        match was {
            None => lines.push(format!("{} added", backend.name())),
            Some(at) => {
                let fields = ["url_pattern", "method"];
                let leaves = compare_fields(old[*at].value, backend.value, &fields);
                let name = backend.short();
                lines.extend(leaves.iter().map(|leaf| format!("{name}: {}", leaf.line())));
            }
        }
    }
    let kept: Vec<usize> = was.into_iter().flatten().collect();
    if !kept.is_sorted() {
        let order = new.iter().map(|it| it.path.into()).collect();
        let order = short(&serde_json::Value::Array(order));
        lines.push(format!("backends in another order: {order}"));
    }
}
